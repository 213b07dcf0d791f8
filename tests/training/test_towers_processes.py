"""Several processes fit as one: parts of a batch add up to it, and two real processes end where one does."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy

from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.schema import fit_schema
from features.tables import load_tables
from models.config import TowerConfig
from training.towers import training_step
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData, tower_data
from training.towers.fit import batch_plan, fit_towers
from training.towers.processes import COUNT, WHOLE, PartOfBatches, Processes, joined, strategy_of
from training.towers.training_step import TowerFitting

DATASET = DatasetConfig.parse(
    {"order": {"sequence": "position"}, "events": {"type": "kind"}, "types": {"view": {}, "buy": {"weight": 3}}}
)
TOWERS = TowerConfig(embedding_dim=16, blocks=1, heads=1, dropout=0.0)
FIT = TowerFitConfig(learning_rate=0.01, warmup_steps=2, batch_windows=16, negatives=64)
ITEMS = 30


def uneven() -> TowerData:
    """People with histories of any length, of events that count 1 or 3: no two parts of a batch weigh the same."""
    draw = np.random.default_rng(2)
    rows = [
        (f"u{user}", f"i{draw.integers(ITEMS)}", step) for user in range(70) for step in range(draw.integers(2, 12))
    ]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "position"])
    events["kind"] = draw.choice(["view", "buy"], len(events))
    tables = load_tables(DATASET, Path(), {"events": events})
    schema = fit_schema(DATASET, tables.events, tables.users, tables.items)
    return tower_data(schema, tables, np.zeros((ITEMS + 2, 0), np.int64), 8)


@pytest.fixture(scope="module")
def data() -> TowerData:
    return uneven()


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in 32 bits: in 16, another order of rows is another number."""
    monkeypatch.setattr(training_step, "narrow_type", lambda kind="cpu": torch.float32)


def loss_and_gradient(data: TowerData, fit: TowerFitConfig, here: Processes, chosen: Any) -> tuple[float, Any]:
    torch.manual_seed(0)
    module = TowerFitting(data, TOWERS, fit, seed=0, steps=10, processes=here)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    torch.manual_seed(7)
    loss = module.training_step(here.batches(data.windows)[chosen], 0)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = module.model.parameters()
    return loss.item(), torch.cat([one.grad.flatten() for one in parameters if one.grad is not None])


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("max_full_softmax", [100, 0], ids=["full", "sampled"])
@pytest.mark.parametrize(("count", "windows"), [(2, 16), (3, 16), (3, 2)])
def test_the_parts_of_a_batch_have_its_loss_and_gradient(
    data: TowerData, max_full_softmax: int, count: int, windows: int
) -> None:
    """Of two windows, the third of three processes has none, and counts nothing."""
    fit = FIT.model_copy(update={"max_full_softmax": max_full_softmax})
    chosen = np.random.default_rng(1).permutation(len(data.windows))[:windows]
    loss, gradient = loss_and_gradient(data, fit, Processes(), chosen)
    parts = [loss_and_gradient(data, fit, Processes(count, rank), chosen) for rank in range(count)]
    assert np.mean([part[0] for part in parts]) == pytest.approx(loss, rel=1e-5)
    averaged = torch.stack([part[1] for part in parts]).mean(0)
    torch.testing.assert_close(averaged, gradient, rtol=1e-4, atol=1e-6)
    naive = np.mean([part[0] for part in parts[:1]])
    assert naive != pytest.approx(loss, rel=1e-5), "a part alone is not the whole"


def test_every_window_of_a_batch_is_in_one_part(data: TowerData) -> None:
    for chosen in batch_plan(data.windows.lengths, FIT, seed=0):
        parts = [PartOfBatches(data.windows, Processes(3, rank))[chosen] for rank in range(3)]
        counted = [one for part in parts for one in part["numbers"][part["weights"].sum(1) > 0].tolist()]
        assert sorted(counted) == sorted(chosen.tolist())
        weights = sum(float(part["weights"].sum()) for part in parts)
        assert {float(part[WHOLE]) for part in parts} == {weights}
        assert {int(part[COUNT]) for part in parts} == {len(chosen)}


def test_every_step_reaches_every_weight_as_ddp_expects(trained: Any) -> None:
    """Whatever a data set has: a weight without a gradient would be an error there."""
    from training.stage import item_codes, schema_of  # the processes below would take seconds to import it

    schema = schema_of(trained.config.dataset, trained.tables)
    data = tower_data(schema, trained.tables, item_codes(schema, trained.tables.items), 20)
    for max_full_softmax in (100_000, 0):
        fit = FIT.model_copy(update={"max_full_softmax": max_full_softmax})
        module = TowerFitting(data, TOWERS, fit, seed=0, steps=10)
        module.log = lambda *_, **__: None  # type: ignore[method-assign]
        module.training_step(Processes().batches(data.windows)[np.array([0])], 0).backward()  # type: ignore[no-untyped-call]
        assert [name for name, one in module.named_parameters() if one.requires_grad and one.grad is None] == []


@pytest.mark.parametrize(("name", "size", "ddp"), [("auto", 1, False), ("auto", 2, True), ("ddp", 1, True)])
def test_gradients_are_averaged_where_there_are_several(name: Any, size: int, ddp: bool) -> None:
    assert isinstance(strategy_of(name, Processes(size)), DDPStrategy) == ddp


def test_more_processes_than_there_are_is_told(data: TowerData, tmp_path: Path) -> None:
    fit = FIT.model_copy(update={"devices": 2})
    with pytest.raises(ConfigError, match=r"2 processes .* and 1 is running") as caught:
        fit_towers(data, TOWERS, fit, tmp_path, epochs=1)
    assert caught.value.field == "tower_fit.devices"


def test_one_process_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined(pytest.fail):
        assert Processes.now() == Processes(1, 0)


FITS = {"full": (100, (3,)), "sampled": (0, (3,)), "resumed": (100, (1, 3))}
"""By folder: the largest catalogue of a full softmax, and the epochs of each call."""
TOGETHER = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_towers_processes import fit_all
from training.towers import training_step
from training.towers.fit import fit_part
from training.towers.processes import joined
import torch

torch.set_num_threads(1)
training_step.narrow_type = lambda kind="cpu": torch.float32
with joined(fit_part):
    fit_all(Path(sys.argv[1]), devices=2)
"""


def fit_all(folder: Path, devices: int) -> None:
    """Every one of FITS; leaves the loss by epoch and the ids of each."""
    for name, (max_full_softmax, calls) in FITS.items():
        fit = FIT.model_copy(update={"max_full_softmax": max_full_softmax, "devices": devices})
        for epochs in calls:
            fitted = fit_towers(uneven(), TOWERS, fit, folder / name, epochs=epochs, seed=3)
        np.savez(folder / name, ids=fitted.id_embeddings, loss=[one["loss"] for one in fitted.history])


@pytest.mark.slow
@pytest.mark.usefixtures("wide")
def test_two_processes_have_the_loss_of_one_also_when_they_are_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "fit.py").write_text(TOGETHER.format(here=str(Path(__file__).parent)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command = [sys.executable, *torchrun, "--master-port", port, str(tmp_path / "fit.py"), str(tmp_path)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    two = {name: np.load(tmp_path / f"{name}.npz") for name in FITS}
    fit_all(tmp_path / "one", devices=1)
    for name in FITS:
        one = np.load(tmp_path / "one" / f"{name}.npz")
        np.testing.assert_allclose(two[name]["loss"], one["loss"], rtol=1e-5)
        np.testing.assert_allclose(two[name]["ids"], one["ids"], atol=1e-3)
    for part in ("loss", "ids"):
        np.testing.assert_array_equal(two["resumed"][part], two["full"][part], err_msg="bit for bit")

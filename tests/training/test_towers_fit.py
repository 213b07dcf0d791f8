"""Fitting learns a planted order, stops where it should, and comes out the same when killed and taken up again."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as lightning
import torch

from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError
from features.people import People
from features.schema import fit_schema
from features.tables import load_tables
from models.config import TowerConfig
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData, ValidationPerson, tower_data
from training.towers.fit import fit_towers
from training.towers.fitted import FittedTowers, validation_gains
from training.towers.negatives import Negatives
from training.towers.stopping import KeepBest
from training.towers.training_step import narrow_type

DATASET = DatasetConfig.parse(
    {"order": {"sequence": "position"}, "events": {}, "types": {"view": {"repeat": "always"}},
     "items": {"columns": {"kind": {"role": "categorical", "static": True}}}}
)  # fmt: skip
TOWERS = TowerConfig(embedding_dim=16, blocks=1, heads=1, dropout=0.1)
FIT = TowerFitConfig(learning_rate=0.02, warmup_steps=2, batch_windows=16, max_epochs=3, average_epochs=0.2)
ITEMS = 12


def planted(validated: int = 20) -> TowerData:
    """Everybody goes round the circle of items, from their own start; the last step is validated on."""
    ring = [(user, (user + step) % ITEMS, step) for user in range(60) for step in range(10)]
    events = pd.DataFrame(ring, columns=["user_id", "item_id", "position"]).astype({"user_id": str, "item_id": str})
    items = pd.DataFrame({"item_id": [str(item) for item in range(ITEMS)], "kind": list("abc" * 4)})
    tables = load_tables(DATASET, Path(), {"events": events, "items": items})
    schema = fit_schema(DATASET, tables.events, tables.users, tables.items)
    codes = np.vstack(
        [np.zeros((2, 1), np.int64), schema.encode_items({"kind": list(tables.items.columns["kind"])}, ITEMS)]
    )
    people = People(DATASET, tables)
    asked = [
        ValidationPerson(people.person(str(user), 8), 8, schema.items.row(str((user + 9) % ITEMS)))
        for user in range(validated)
    ]
    return tower_data(schema, tables, codes, 8, asked)


@pytest.fixture(scope="module")
def data() -> TowerData:
    return planted()


def weights_of(fitted: FittedTowers) -> dict[str, Any]:
    towers = {"item": fitted.item_tower, "user": fitted.user_tower}
    found = {f"{part}.{name}": value for part, one in towers.items() for name, value in one.state_dict().items()}
    return {**{name: value.numpy() for name, value in found.items()}, "ids": fitted.id_embeddings}


def assert_equal_weights(one: FittedTowers, other: FittedTowers) -> None:
    mine, others = weights_of(one), weights_of(other)
    assert mine.keys() == others.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


@pytest.mark.parametrize("max_full_softmax", [100, 0], ids=["full", "sampled"])
def test_learns_the_planted_order(data: TowerData, tmp_path: Path, max_full_softmax: int) -> None:
    fit = FIT.model_copy(update={"max_epochs": 12, "max_full_softmax": max_full_softmax, "negatives": 64})
    fitted = fit_towers(data, TOWERS, fit, tmp_path)
    assert max(record["ndcg"] for record in fitted.history) > 0.9
    assert not fitted.user_tower.training


def test_killed_and_taken_up_again_it_ends_in_the_same_weights(
    data: TowerData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit_towers(data, TOWERS, FIT, tmp_path / "whole", seed=3)

    class KilledError(Exception):
        pass

    def kill(_: KeepBest, trainer: lightning.Trainer, module: Any, batch: Any, index: int) -> None:
        if trainer.current_epoch == 2 and index == 1:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(KeepBest, "on_train_batch_start", lambda self, *rest: kill(self, *rest))
        with pytest.raises(KilledError):
            fit_towers(data, TOWERS, FIT, tmp_path / "killed", seed=3)
    resumed = fit_towers(data, TOWERS, FIT, tmp_path / "killed", seed=3)
    assert_equal_weights(whole, resumed)
    logs = [pd.read_csv(tmp_path / name / "metrics.csv").drop(columns="seconds") for name in ("whole", "killed")]
    assert logs[0]["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(logs[0], logs[1])
    assert_equal_weights(whole, fit_towers(data, TOWERS, FIT, tmp_path / "whole", seed=3))


def test_a_seed_decides_everything(data: TowerData, tmp_path: Path) -> None:
    one, same, other = (
        fit_towers(data, TOWERS, FIT, tmp_path / name, epochs=1, seed=seed)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert_equal_weights(one, same)
    assert not np.array_equal(one.id_embeddings, other.id_embeddings)


def test_a_given_number_of_epochs_needs_nobody_to_validate_on(tmp_path: Path) -> None:
    fitted = fit_towers(planted(validated=0), TOWERS, FIT, tmp_path, epochs=2)
    assert fitted.epochs == 2
    assert [sorted(record) for record in fitted.history] == [["loss", "seconds"]] * 2


def test_fitting_ends_after_the_epoch_that_exceeds_the_time(data: TowerData, tmp_path: Path) -> None:
    fit = FIT.model_copy(update={"max_minutes": 1e-6})
    assert len(fit_towers(data, TOWERS, fit, tmp_path / "short").history) == 1
    assert len(fit_towers(data, TOWERS, fit, tmp_path / "given", epochs=2).history) == 2


def test_without_progress_patience_runs_out_and_the_best_weights_are_kept(data: TowerData, tmp_path: Path) -> None:
    fit = FIT.model_copy(update={"learning_rate": 1e-12, "max_epochs": 9, "patience": 2})
    fitted = fit_towers(data, TOWERS, fit, tmp_path)
    assert fitted.epochs == 1
    assert len(fitted.history) == 3


def test_an_item_without_events_has_no_id(tmp_path: Path, data: TowerData) -> None:
    occurrences = data.occurrences.copy()
    occurrences[5] = 0
    fitted = fit_towers(TowerData(**{**vars(data), "occurrences": occurrences}), TOWERS, FIT, tmp_path, epochs=1)
    assert not fitted.id_embeddings[[0, 1, 5]].any()
    assert fitted.id_embeddings[[2, 3, 4, 6]].any(axis=1).all()


def test_nothing_to_learn_from_and_nobody_to_validate_on_are_told(data: TowerData, tmp_path: Path) -> None:
    nobody = planted(validated=0)
    with pytest.raises(DataError, match="nobody to validate on"):
        fit_towers(nobody, TOWERS, FIT, tmp_path)
    nothing = TowerData(**{**vars(data), "windows": nobody.validation})
    with pytest.raises(DataError, match="no event of a positive type"):
        fit_towers(nothing, TOWERS, FIT, tmp_path, epochs=1)


def test_negatives_weigh_what_makes_each_row_count_once() -> None:
    occurrences = np.array([0, 0, 70, 0, 20, 10])
    negatives = Negatives(occurrences, 3)
    weights, draws = np.zeros(6), 4_000
    for _ in range(draws):
        drawn, log_weights = negatives.draw()
        assert sorted(set(drawn.tolist())) == drawn.tolist()
        weights[drawn.numpy()] += log_weights.exp().numpy()
    np.testing.assert_allclose(weights / draws, [0, 0, 1, 0, 1, 1], atol=0.06)


def test_popular_rows_are_drawn_more_often() -> None:
    negatives = Negatives(np.array([0, 0, 70, 0, 20, 10]), 100_000)
    drawn, log_weights = negatives.draw()
    assert drawn.tolist() == [2, 4, 5]
    np.testing.assert_allclose(log_weights.numpy(), 0, atol=0.03)


def test_fitting_loads_neither_faiss_nor_bentoml() -> None:
    code = "import sys, training.towers; sys.exit(bool({'faiss', 'bentoml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_watch_hears_every_epoch_and_may_end_the_fit(data: TowerData, tmp_path: Path) -> None:
    """What it ended is taken up again, and ends in the same weights."""
    heard = list[int]()

    class EnoughError(Exception):
        pass

    def watch(history: Sequence[Mapping[str, float]]) -> None:
        heard.append(len(history))
        if heard.count(1) == 2:  # after the first epoch and the first step of the second
            raise EnoughError

    with pytest.raises(EnoughError):
        fit_towers(data, TOWERS, FIT, tmp_path / "watched", seed=3, watch=watch)
    assert heard == sorted(heard)
    assert heard.count(0) > 1
    assert_equal_weights(
        fit_towers(data, TOWERS, FIT, tmp_path / "watched", seed=3),
        fit_towers(data, TOWERS, FIT, tmp_path / "whole", seed=3),
    )


def test_the_figures_of_the_people_are_those_of_the_best_epoch(data: TowerData, tmp_path: Path) -> None:
    fitted = fit_towers(data, TOWERS, FIT, tmp_path)
    gains = validation_gains(fitted, data, FIT)
    assert gains.shape == (len(data.validation),)
    assert gains.mean() == pytest.approx(max(record["ndcg"] for record in fitted.history), abs=1e-5)


def test_a_gpu_that_is_not_there_is_told(data: TowerData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no CUDA device") as caught:
        fit_towers(data, TOWERS, FIT.model_copy(update={"accelerator": "cuda"}), tmp_path)
    assert caught.value.field == "tower_fit.accelerator"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_products_are_narrow_where_the_device_itself_multiplies_so(
    native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    narrow_type.cache_clear()
    assert [narrow_type(kind) for kind in ("cpu", "cuda", "mps")] == [expected, expected, torch.float32]
    narrow_type.cache_clear()


@pytest.mark.gpu
@pytest.mark.parametrize("max_full_softmax", [100, 0], ids=["full", "sampled"])
def test_learns_the_planted_order_on_a_gpu(data: TowerData, tmp_path: Path, max_full_softmax: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU is at hand: PyTorch finds no CUDA device")
    changes = {"max_epochs": 12, "max_full_softmax": max_full_softmax, "negatives": 64, "accelerator": "cuda"}
    fitted = fit_towers(data, TOWERS, FIT.model_copy(update=changes), tmp_path)
    assert max(record["ndcg"] for record in fitted.history) > 0.9
    assert {one.device.type for one in fitted.user_tower.parameters()} == {"cpu"}
    assert validation_gains(fitted, data, FIT).mean() > 0.9

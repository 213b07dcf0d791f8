"""Every module exports, and the exported graph says what eager torch says, at every size it may meet."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from features.errors import BundleError
from features.schema import FieldSize
from models.config import RankerConfig, TowerConfig
from models.item_tower import ItemTower
from models.ranker import Ranker
from models.user_tower import ServedUserTower, UserTower, UserTowerInputs
from training.export.graph import export_graph, require_axes

CONFIG = TowerConfig(embedding_dim=16, blocks=2, heads=2)
FIELDS = (FieldSize("genre", 3, 9), FieldSize("year", 1, 6))
RICH = UserTowerInputs(5, 30, n_values=7, n_gaps=12, profile=FIELDS, context=(FieldSize("hour", 1, 26),))
PLAIN = UserTowerInputs(3, 30)
TIME_AXES = {
    "item_vectors": {0: "batch", 1: "time"},
    "type_codes": {0: "batch", 1: "time"},
    "lengths": {0: "batch"},
    "value_codes": {0: "batch", 1: "time"},
    "gap_codes": {0: "batch", 1: "queries", 2: "queries"},
    "profile_codes": {0: "batch"},
    "context_codes": {0: "batch", 1: "queries"},
}


def scramble(module: nn.Module) -> nn.Module:
    """Noise in every weight, so that what starts at zero is tested too."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return module.eval()


def user_batch(inputs: UserTowerInputs, batch: int, time: int, lengths: list[int] | None = None) -> dict[str, Tensor]:
    torch.manual_seed(batch * 100 + time)
    code = torch.randint
    fed = {
        "item_vectors": nn.functional.normalize(torch.randn(batch, time, 16), dim=-1),
        "type_codes": code(0, inputs.n_types, (batch, time)),
        "lengths": torch.tensor(lengths) if lengths else code(0, time + 1, (batch,)),
    }
    if "value_codes" in inputs.names:
        fed["value_codes"] = code(0, inputs.n_values, (batch, time))
    if "gap_codes" in inputs.names:
        fed["gap_codes"] = code(0, inputs.n_gaps, (batch, time + 1, time + 1))
    if "profile_codes" in inputs.names:
        fed["profile_codes"] = code(0, 6, (batch, 4))
    if "context_codes" in inputs.names:
        fed["context_codes"] = code(0, 26, (batch, time + 1, 1))
    return fed


def assert_parity(session: ort.InferenceSession, module: nn.Module, fed: dict[str, Tensor]) -> None:
    with torch.no_grad():
        eager = module(**fed).numpy()
    (served,) = session.run(None, {name: value.numpy() for name, value in fed.items()})
    np.testing.assert_allclose(served, eager, rtol=1e-3, atol=1e-5)


def opened(
    module: nn.Module, fed: dict[str, Tensor], dynamic: dict[str, dict[int, str]], folder: Path
) -> ort.InferenceSession:
    export_graph(module, fed, dynamic, folder / "graph.onnx")
    assert [one.name for one in folder.iterdir()] == ["graph.onnx"]
    return ort.InferenceSession(folder / "graph.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("inputs", [RICH, PLAIN], ids=["rich", "plain"])
def test_user_tower(inputs: UserTowerInputs, tmp_path: Path) -> None:
    module = scramble(ServedUserTower(UserTower(inputs, CONFIG)))
    example = user_batch(inputs, 3, 7)
    session = opened(module, example, {name: TIME_AXES[name] for name in example}, tmp_path)
    assert [one.name for one in session.get_inputs()] == list(example)
    for batch, time in [(1, 1), (1, 2), (2, 5), (5, 30), (13, 11), (1, 30)]:
        assert_parity(session, module, user_batch(inputs, batch, time))
    empty = {name: torch.zeros_like(value) for name, value in user_batch(inputs, 1, 1).items()}
    assert_parity(session, module, empty)
    assert_parity(session, module, user_batch(inputs, 2, 30, [0, 30]))


@pytest.mark.parametrize("fields", [FIELDS, ()], ids=["attributes", "ids only"])
def test_item_tower(fields: tuple[FieldSize, ...], tmp_path: Path) -> None:
    module = scramble(ItemTower(8, fields, CONFIG))

    def batch(count: int) -> dict[str, Tensor]:
        fed = {"id_vectors": torch.randn(count, 8)}
        return {**fed, "attribute_codes": torch.randint(0, 6, (count, 4))} if fields else fed

    session = opened(module, batch(3), {name: {0: "items"} for name in batch(1)}, tmp_path)
    for count in (1, 2, 5, 17, 100):
        assert_parity(session, module, batch(count))
    assert_parity(session, module, {name: torch.zeros_like(value) for name, value in batch(2).items()})


def test_ranker(tmp_path: Path) -> None:
    module = scramble(Ranker(6, 3, RankerConfig(max_history=9)))
    dynamic = {
        "features": {0: "batch", 1: "candidates"},
        "candidate_vectors": {0: "batch", 1: "candidates"},
        "history_vectors": {0: "batch", 1: "time"},
        "history_mask": {0: "batch", 1: "time"},
    }

    def batch(people: int, candidates: int, time: int) -> dict[str, Tensor]:
        return {
            "features": torch.randn(people, candidates, 6),
            "candidate_vectors": torch.randn(people, candidates, 16),
            "history_vectors": torch.randn(people, time, 16),
            "history_mask": (torch.arange(time) < torch.randint(0, time + 1, (people, 1))).float(),
        }

    session = opened(module, batch(2, 5, 7), dynamic, tmp_path)
    for people, candidates, time in [(1, 1, 1), (1, 500, 9), (3, 2, 1), (2, 1, 9), (4, 50, 6)]:
        assert_parity(session, module, batch(people, candidates, time))
    empty = {**batch(2, 5, 1), "history_mask": torch.zeros(2, 1)}
    assert_parity(session, module, empty)


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def test_a_graph_with_a_fixed_axis_or_another_input_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "doubled.onnx"
    export_graph(Doubled(), {"x": torch.ones(3, 5)}, {"x": {0: "rows"}}, path)
    require_axes(path, {"x": {0: "rows"}})
    with pytest.raises(BundleError, match=r"axes of x that vary are \{0: 'rows'\}, and should be .*'columns'"):
        require_axes(path, {"x": {0: "rows", 1: "columns"}})
    with pytest.raises(BundleError, match=r"doubled\.onnx takes x where x, y was meant"):
        require_axes(path, {"x": {0: "rows"}, "y": {}})

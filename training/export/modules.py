"""From fitted modules to ONNX graphs that answer alike, or to an error: a bundle that exists is a bundle that is right.

Parity is measured on batches of several sizes and lengths, the empty history and the longest among them: outputs
within 1e-3 relative and 1e-5 absolute, and the same order of the top items.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from features.arrays import FloatArray
from features.errors import BundleError
from models.item_tower import ItemTower
from models.ranker import Ranker
from models.user_tower import ServedUserTower, UserTower
from serving.graph import Graph
from serving.ranking.ranker_inputs import ATTENTION_EVENTS
from training.export.graph import export_graph

RELATIVE, ABSOLUTE = 1e-3, 1e-5
TOP = 10
SIZES = ((1, 0), (1, 1), (2, 3), (3, 17), (5, 50), (2, 0))
"""(batch, length) pairs on which parity is measured; the longest history is added."""

Inputs = dict[str, Tensor]


def export_user_tower(tower: UserTower, vectors: FloatArray, max_events: int, path: Path) -> None:
    """Write the user tower's graph; `vectors` float32 [R, D] are the item table, by which order is judged."""
    module = ServedUserTower(tower).eval()
    sizes = (*SIZES, (2, max_events))
    draw = np.random.default_rng(0)
    cases = [_user_inputs(tower, vectors, batch, length, draw) for batch, length in sizes]
    example = _user_inputs(tower, vectors, 3, 7, draw)
    dynamic = {name: _user_axes(name) for name in example}
    export_graph(module, example, dynamic, path)
    _check(module, cases, path, order=lambda output: output @ vectors[2:].T)


def export_item_tower(tower: ItemTower, id_vectors: FloatArray, codes: np.ndarray, path: Path) -> None:
    """Write the item tower's graph for id vectors float32 [R, E] and attribute codes int [R, A]."""
    module = tower.eval()
    draw = np.random.default_rng(0)
    cases = [_item_inputs(id_vectors, codes, batch, draw) for batch in (1, 2, 5, 11, 64)]
    cases.append({**cases[2], "id_vectors": torch.zeros_like(cases[2]["id_vectors"])})
    example = _item_inputs(id_vectors, codes, 3, draw)
    export_graph(module, example, {name: {0: "batch"} for name in example}, path)
    _check(module, cases, path, order=None)


def export_ranker(ranker: Ranker, vectors: FloatArray, features: FloatArray, path: Path) -> None:
    """Write the ranker's graph; `features` float32 [K, F] are real rows."""
    module = ranker.eval()
    draw = np.random.default_rng(0)
    sizes = ((1, 1, 1), (1, 2, ATTENTION_EVENTS), (2, 20, 5), (1, 200, 17), (3, 7, 1))
    cases = [_ranker_inputs(vectors, features, *size, draw) for size in sizes]
    cases.append({**cases[2], "history_mask": torch.zeros_like(cases[2]["history_mask"])})
    example = _ranker_inputs(vectors, features, 3, 5, 7, draw)
    candidate, history = {0: "batch", 1: "candidates"}, {0: "batch", 1: "history"}
    dynamic = {
        "features": candidate,
        "candidate_vectors": candidate,
        "history_vectors": history,
        "history_mask": history,
    }
    export_graph(module, example, dynamic, path)
    _check(module, cases, path, order=lambda output: output[..., 0])


def _user_axes(name: str) -> dict[int, str]:
    match name:
        case "lengths" | "profile_codes":
            return {0: "batch"}
        case "gap_codes":
            return {0: "batch", 1: "positions", 2: "positions"}
        case "context_codes":
            return {0: "batch", 1: "positions"}
        case _:
            return {0: "batch", 1: "events"}


def _user_inputs(tower: UserTower, vectors: FloatArray, batch: int, length: int, draw: np.random.Generator) -> Inputs:
    sizes, events = tower.inputs, max(length, 1)
    codes: dict[str, np.ndarray] = {
        "type_codes": draw.integers(0, sizes.n_types, (batch, events)),
        "lengths": np.minimum(draw.integers(0, events + 1, batch), length),
        "value_codes": draw.integers(0, max(sizes.n_values, 1), (batch, events)),
        "gap_codes": draw.integers(0, max(sizes.n_gaps, 1), (batch, events + 1, events + 1)),
        "profile_codes": _codes(sizes.profile, (batch,), draw),
        "context_codes": _codes(sizes.context, (batch, events + 1), draw),
    }
    codes["lengths"][0] = length
    inputs = {"item_vectors": torch.from_numpy(vectors[draw.integers(0, len(vectors), (batch, events))])}
    inputs |= {name: torch.from_numpy(value.astype(np.int64)) for name, value in codes.items()}
    return {name: inputs[name] for name in (*sizes.names, "lengths")}


def _codes(sizes: tuple[tuple[str, int, int], ...], shape: tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    parts = [draw.integers(0, size, (*shape, width)) for _, width, size in sizes]
    return np.concatenate(parts, axis=-1) if parts else np.empty((*shape, 0))


def _item_inputs(id_vectors: FloatArray, codes: np.ndarray, batch: int, draw: np.random.Generator) -> Inputs:
    rows = draw.integers(0, len(id_vectors), batch)
    inputs = {"id_vectors": torch.from_numpy(np.array(id_vectors[rows]))}
    if codes.shape[1]:
        inputs["attribute_codes"] = torch.from_numpy(codes[rows].astype(np.int64))
    return inputs


def _ranker_inputs(
    vectors: FloatArray, features: FloatArray, batch: int, candidates: int, history: int, draw: np.random.Generator
) -> Inputs:
    def drawn(*shape: int) -> Tensor:
        return torch.from_numpy(vectors[draw.integers(2, len(vectors), shape)])

    mask = np.arange(history)[None] < draw.integers(1, history + 1, (batch, 1))
    return {
        "features": torch.from_numpy(features[draw.integers(0, len(features), (batch, candidates))]),
        "candidate_vectors": drawn(batch, candidates),
        "history_vectors": drawn(batch, history),
        "history_mask": torch.from_numpy(mask.astype(np.float32)),
    }


def _check(
    module: nn.Module, cases: list[Inputs], path: Path, order: Callable[[FloatArray], np.ndarray] | None
) -> None:
    graph = Graph(path)
    for number, case in enumerate(cases):
        with torch.no_grad():
            eager = module(**case).numpy()
        served = graph(_numpy(case))
        if not np.allclose(served, eager, rtol=RELATIVE, atol=ABSOLUTE):
            raise BundleError(
                f"{path.name} differs from the trained module by {np.abs(served - eager).max():.2e} on parity case "
                f"{number} ({', '.join(f'{name} {tuple(value.shape)}' for name, value in case.items())})",
                hint="The export is wrong; the bundle was not written.",
            )
        if order is not None and not _same_order(order(served), order(eager)):
            raise BundleError(f"{path.name} orders items otherwise than the trained module on parity case {number}")


def _same_order(served: np.ndarray, eager: np.ndarray) -> bool:
    """Whether both put the same items on top, wherever scores differ by more than the tolerance."""
    count = min(TOP, eager.shape[-1])
    mine = np.take_along_axis(eager, np.argsort(-served, axis=-1)[..., :count], axis=-1)
    best = -np.sort(-eager, axis=-1)[..., :count]
    return bool(np.allclose(mine, best, rtol=RELATIVE, atol=10 * ABSOLUTE))


def _numpy(case: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in case.items()}

"""The parts of the benchmark of a device: what is run, how often, and held against what.

Weights and inputs are drawn, sizes are those of the shop and of the default models. What needs more than torch (onnx,
onnxscript, ONNX Runtime for the device) is imported where it is used. R items, B users of a batch, D embedding_dim.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from features.arrays import FloatArray
from features.errors import TailorbirdError
from features.schema import FieldSize
from features.vocabulary import RESERVED
from models.config import RankerConfig, TowerConfig
from models.item_tower import ItemTower, unit
from models.ranker import Ranker
from models.user_tower import ServedUserTower, UserTower, UserTowerInputs

if TYPE_CHECKING:
    from serving.retrieval.device import Device

TOP = 500
EMBEDDING_BATCH = 65_536
CHECKED = 4
"""Users whose answer is held against a sort in float64."""
FIELDS = (
    FieldSize("category", 1, 32),
    FieldSize("creator", 1, 20_002),
    FieldSize("price", 1, 34),
    FieldSize("released", 1, 34),
)
FEATURES, HEADS, CANDIDATES = 48, 3, 500
EVENTS = 50
TOWERS = TowerConfig()


class NotMeasuredError(Exception):
    """What a machine lacks for a part, in a few words."""


class Plan(NamedTuple):
    """How much is measured, and where."""

    device: "Device"
    items: int
    batches: tuple[int, ...]
    """Users that are answered together."""
    repeats: int


def measure_embedding(plan: Plan) -> dict[str, Any]:
    """All items through the item tower, in torch, from codes that lie on the device."""
    tower = ItemTower(TOWERS.embedding_dim, FIELDS, TOWERS).eval().to(plan.device)
    draw = torch.Generator().manual_seed(0)
    columns = [torch.randint(RESERVED, one.size, (plan.items,), generator=draw) for one in FIELDS]
    codes = torch.stack(columns, dim=1).to(plan.device)
    ids = torch.randn(plan.items, TOWERS.embedding_dim, generator=draw).to(plan.device)

    def embed() -> None:
        for start in range(0, plan.items, EMBEDDING_BATCH):
            tower(ids[start : start + EMBEDDING_BATCH], codes[start : start + EMBEDDING_BATCH])

    seconds = _seconds(embed, plan)
    return {"seconds": round(seconds, 4), "items_per_s": round(plan.items / seconds), "batch": EMBEDDING_BATCH}


def measure_search_in_torch(plan: Plan) -> dict[str, Any]:
    """Exact top 500 as one matrix product and a top-k, all items eligible; the answer stays on the device."""
    vectors, queries = _vectors(plan)
    items = torch.from_numpy(vectors).to(plan.device)

    def search(users: Tensor) -> Tensor:
        return (users @ items.T).topk(min(TOP, plan.items), dim=1).indices

    def found_by(users: FloatArray) -> np.ndarray:
        return np.asarray(search(torch.from_numpy(users).to(plan.device)).cpu())

    given = torch.from_numpy(queries).to(plan.device)
    by_batch = {str(size): _speed(partial(search, given[:size]), size, plan) for size in plan.batches}
    return {"top": TOP, "by_users": by_batch, "recall": _recall(vectors, queries, found_by)}


def measure_search_in_graph(plan: Plan) -> dict[str, Any]:
    """The same as the service does it: the bundle's graph, a bitmap for each user, rows back on the processor."""
    vectors, queries = _vectors(plan)
    _require_provider(plan)
    from serving.retrieval.device_search import SEARCH, DeviceSearch
    from training.export.search import export_search

    with TemporaryDirectory() as folder:
        export_search(vectors.shape[1], Path(folder) / SEARCH)
        search = DeviceSearch(Path(folder) / SEARCH, vectors, plan.device)
    everything = np.full((plan.items + 7) // 8, 255, dtype=np.uint8)

    def found_by(users: FloatArray) -> np.ndarray:
        return search(users, TOP, everything)

    by_batch = {str(size): _speed(partial(found_by, queries[:size]), size, plan) for size in plan.batches}
    return {"top": TOP, "by_users": by_batch, "recall": _recall(vectors, queries, found_by)}


def measure_user_tower(plan: Plan) -> dict[str, Any]:
    """Histories of fifty events through the exported user tower."""
    sizes = UserTowerInputs(5, 200, n_gaps=64, profile=(FieldSize("country", 1, 8),))
    module = ServedUserTower(UserTower(sizes, TOWERS)).eval()

    def inputs(users: int, events: int) -> dict[str, Tensor]:
        return {
            "item_vectors": unit(torch.randn(users, events, TOWERS.embedding_dim)),
            "type_codes": torch.randint(0, 5, (users, events)),
            "gap_codes": torch.randint(0, 64, (users, events + 1, events + 1)),
            "profile_codes": torch.randint(0, 8, (users, 1)),
            "lengths": torch.full((users,), events),
        }

    events = {0: "batch", 1: "events"}
    positions = {0: "batch", 1: "positions", 2: "positions"}
    axes = {"gap_codes": positions, "profile_codes": {0: "batch"}, "lengths": {0: "batch"}}
    axes |= {"item_vectors": events, "type_codes": events}
    return _graph_speed(module, inputs(3, 7), axes, lambda users: inputs(users, EVENTS), plan)


def measure_ranker(plan: Plan) -> dict[str, Any]:
    """Five hundred candidates of each user through the exported ranker."""
    module = Ranker(FEATURES, HEADS, RankerConfig()).eval()

    def inputs(users: int, candidates: int, events: int) -> dict[str, Tensor]:
        return {
            "features": torch.randn(users, candidates, FEATURES),
            "candidate_vectors": unit(torch.randn(users, candidates, TOWERS.embedding_dim)),
            "history_vectors": unit(torch.randn(users, events, TOWERS.embedding_dim)),
            "history_mask": torch.ones(users, events),
        }

    candidate, history = {0: "batch", 1: "candidates"}, {0: "batch", 1: "history"}
    axes = {"features": candidate, "candidate_vectors": candidate, "history_vectors": history, "history_mask": history}
    return _graph_speed(module, inputs(3, 5, 7), axes, lambda users: inputs(users, CANDIDATES, EVENTS), plan)


PARTS: dict[str, Callable[[Plan], dict[str, Any]]] = {
    "embedding": measure_embedding,
    "search_in_torch": measure_search_in_torch,
    "search_in_graph": measure_search_in_graph,
    "user_tower": measure_user_tower,
    "ranker": measure_ranker,
}


def _graph_speed(
    module: torch.nn.Module,
    example: dict[str, Tensor],
    axes: dict[str, dict[int, str]],
    inputs: Callable[[int], dict[str, Tensor]],
    plan: Plan,
) -> dict[str, Any]:
    _require_provider(plan)
    from serving.graph import Graph
    from training.export.graph import export_graph

    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        export_graph(module, example, axes, path)
        graph = Graph(path, plan.device)
    fed = {size: {name: value.numpy() for name, value in inputs(size).items()} for size in plan.batches}
    with torch.no_grad():
        eager = module(**inputs_of(fed[plan.batches[0]])).numpy()
    return {
        "by_users": {str(size): _speed(partial(graph, fed[size]), size, plan) for size in plan.batches},
        "furthest_from_torch": float(f"{np.abs(graph(fed[plan.batches[0]]) - eager).max():.2e}"),
    }


def inputs_of(fed: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """A graph's inputs as a module takes them."""
    return {name: torch.from_numpy(value) for name, value in fed.items()}


def _require_provider(plan: Plan) -> None:
    """Raise NotMeasuredError where graphs cannot be exported, or not run on the device."""
    try:
        import onnx
        import onnxscript

        from serving.retrieval.device import require_provider

        require_provider(plan.device)
    except ImportError as error:
        raise NotMeasuredError(f"{error.name} is not installed") from None
    except TailorbirdError as error:
        raise NotMeasuredError(error.message) from None
    del onnx, onnxscript


def _vectors(plan: Plan) -> tuple[FloatArray, FloatArray]:
    """Unit vectors of items, float32 [R, D], and of as many users as the largest batch."""
    draw = torch.Generator().manual_seed(1)
    both = unit(torch.randn(plan.items + max(plan.batches), TOWERS.embedding_dim, generator=draw)).numpy()
    return both[: plan.items], both[plan.items :]


def _recall(vectors: FloatArray, queries: FloatArray, found_by: Callable[[FloatArray], np.ndarray]) -> float:
    """Share of the true top 500 that is found."""
    exact = vectors.astype(np.float64) @ queries[:CHECKED].astype(np.float64).T  # [R, CHECKED]
    truth = np.argsort(-exact, axis=0, kind="stable")[:TOP].T
    return float(np.mean([np.isin(*pair).mean() for pair in zip(truth, found_by(queries[:CHECKED]), strict=True)]))


def _speed(call: Callable[[], object], users: int, plan: Plan) -> dict[str, float]:
    seconds = _seconds(call, plan)
    return {"ms": round(1000 * seconds, 4), "users_per_s": round(users / seconds, 1)}


def _seconds(call: Callable[[], object], plan: Plan) -> float:
    """Median of some calls, each waited for, after one that is not counted."""
    taken = []
    with torch.no_grad():
        for _ in range(plan.repeats + 1):
            started = time.perf_counter()
            call()
            if plan.device == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
    return median(taken[1:])

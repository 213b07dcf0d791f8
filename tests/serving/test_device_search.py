"""The search on a device finds what the exact index finds: here on the processor, whose graph is the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleError
from features.vocabulary import RESERVED
from serving.bundle import open_bundle
from serving.items.layered import Layered
from serving.retrieval.bitmap import pack
from serving.retrieval.device_search import NONE, SEARCH, DeviceSearch
from serving.retrieval.eligibility import Eligible
from serving.retrieval.index import ItemIndex, Plan
from serving.retrieval.scores import dots
from training.export import search as exporting
from training.export.search import export_search

DIM = 6
ROWS = 301


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Unit vectors by row, each of the last fifty a twin of one before."""
    drawn = unit_vectors(ROWS)
    drawn[:RESERVED] = 0.0
    drawn[-50:] = drawn[50:100]
    return drawn


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("search") / SEARCH
    export_search(DIM, path)
    return path


@pytest.fixture(scope="module")
def on_device(vectors: np.ndarray, graph: Path) -> ItemIndex:
    index = ItemIndex.build(vectors)
    return ItemIndex(index._index, vectors, on_device=DeviceSearch(graph, vectors, "cpu"))


def sorted_rows(vectors: np.ndarray, query: np.ndarray, count: int, allowed: np.ndarray) -> list[int]:
    """The obvious way: every product for itself, and a stable sort, which puts the lower row first."""
    products = np.einsum("nd,d->n", vectors, query)
    order = np.argsort(-products, kind="stable")
    return [int(row) for row in order[allowed[order]][:count]]


@given(st.integers(0, 10_000), st.integers(1, 400), st.sampled_from([0.0, 0.01, 0.3, 1.0]), st.integers(0, 20))
def test_it_finds_what_a_sort_finds_and_the_index_but_for_equals_at_the_end(
    vectors: np.ndarray, on_device: ItemIndex, seed: int, count: int, share: float, n_changed: int
) -> None:
    draw = np.random.default_rng(seed)
    query = unit_vectors(1, seed)[0] if seed % 2 else vectors[RESERVED + seed % (ROWS - RESERVED)]
    new = n_changed // 2
    changed = np.append(
        np.sort(draw.choice(np.arange(RESERVED, ROWS), n_changed - new, replace=False)), ROWS + np.arange(new)
    )
    now = Layered(vectors, changed, unit_vectors(n_changed, seed + 1))
    allowed = draw.random(ROWS + new) < share
    allowed[:RESERVED] = False
    eligible = Eligible(pack(allowed))
    found = on_device.with_changes(now, changed).search(query, count, eligible).tolist()
    assert found == sorted_rows(np.asarray(now), query, count, allowed)
    of_index = ItemIndex.build(vectors).with_changes(now, changed).search(query, count, eligible)
    assert dots(now[np.array(found, dtype=np.int64)], query).tolist() == dots(now[of_index], query).tolist()


def test_users_of_a_batch_each_have_their_own_rows(vectors: np.ndarray, graph: Path) -> None:
    search = DeviceSearch(graph, vectors, "cpu")
    allowed = np.random.default_rng(1).random((4, ROWS)) < np.array([[1.0], [0.5], [0.02], [0.0]])
    queries = unit_vectors(4, seed=5)
    found = search(queries, 20, np.stack([pack(one) for one in allowed]))
    assert found.shape == (4, 20)
    for query, may, rows in zip(queries, allowed, found, strict=True):
        assert rows[rows != NONE].tolist() == sorted_rows(vectors, query, 20, may)
    together = search(queries, 20, pack(allowed[1]))
    assert together[1].tolist() == found[1].tolist()
    assert search(queries[:1], 10 * ROWS, pack(allowed[0])).shape == (1, ROWS)


def test_a_large_catalogue_is_looked_at_whole(vectors: np.ndarray, graph: Path) -> None:
    trained = ItemIndex.train(vectors, 2, "Flat")
    everything = Eligible(pack(np.ones(30_000, dtype=np.bool_)))
    assert trained.plan(everything, 20).name == "probed"
    device = ItemIndex(trained._index, vectors, on_device=DeviceSearch(graph, vectors, "cpu"))
    assert device.plan(everything, 20) == Plan("exact")
    assert device.with_changes(vectors, np.array([5])).plan(everything, 20) == Plan("exact")


def test_a_bundle_holds_the_graph_for_its_own_vectors(trained: Any) -> None:
    bundle = open_bundle(trained.bundle)
    assert SEARCH in bundle.manifest["files"]
    held = np.asarray(bundle.catalogue.vectors)
    index = ItemIndex.load(trained.bundle / "index.faiss", held, DeviceSearch(bundle.path / SEARCH, held, "cpu"))
    eligible = Eligible(bundle.catalogue.placed)
    for row in range(RESERVED, len(held), 7):
        assert index.search(held[row], 30, eligible).tolist() == bundle.index.search(held[row], 30, eligible).tolist()


def test_a_graph_that_finds_other_items_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GRAPH", exporting.GRAPH.replace("TopK <axis = 1>", "TopK <axis = 1, largest = 0>"))
    with pytest.raises(BundleError, match="finds other items than a sort of all"):
        export_search(DIM, tmp_path / SEARCH)

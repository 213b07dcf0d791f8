"""An index in shards finds what one whole index finds, whatever its codes, and is renewed a shard at a time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrays import FloatArray
from features.vocabulary import RESERVED
from serving.retrieval import eligibility
from serving.retrieval.bitmap import pack
from serving.retrieval.eligibility import Eligible
from serving.retrieval.index import ItemIndex, renew_index

DIM = 8
CELLS = 4
FILES = ("", ".1", ".2")


def unit_vectors(rows: int, seed: int) -> FloatArray:
    vectors = np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:RESERVED] = 0.0
    return np.asarray(vectors)


def those(vectors: FloatArray, share: float, seed: int) -> Eligible:
    return Eligible(pack(np.any(vectors, axis=1) & (np.random.default_rng(seed).random(len(vectors)) < share)))


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows are eligible, the index is asked for them."""
    monkeypatch.setattr(eligibility, "FEW", -1)


@given(
    rows=st.integers(3, 120),
    parts=st.integers(1, 9),
    count=st.integers(1, 130),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 99),
)
def test_exact_shards_find_what_one_index_finds(rows: int, parts: int, count: int, share: float, seed: int) -> None:
    vectors = unit_vectors(rows, seed)
    eligible, query = those(vectors, share, seed), unit_vectors(RESERVED + 1, seed + 1)[RESERVED]
    one, many = ItemIndex.build(vectors), ItemIndex.build(vectors, parts)
    assert many.search(query, count, eligible).tolist() == one.search(query, count, eligible).tolist()


@settings(max_examples=25)
@given(
    codes=st.sampled_from(["Flat", "SQ8", "PQ4x4"]),
    parts=st.integers(1, 9),
    probes=st.integers(1, CELLS),
    count=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_shards_of_cells_find_what_one_index_finds(codes: str, parts: int, probes: int, count: int, seed: int) -> None:
    """Cells and codes are the same: a shard more or less changes nothing."""
    vectors = unit_vectors(300, seed)
    query = unit_vectors(RESERVED + 1, seed + 1)[RESERVED]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eligibility, "FEW", -1)
        eligible = those(vectors, 0.7, seed)
        one = ItemIndex.train(vectors, CELLS, codes).with_probes({40: probes})
        many = ItemIndex.train(vectors, CELLS, codes, shards=parts).with_probes({40: probes})
        assert many.plan(eligible, count).cells == one.plan(eligible, count).cells
        assert many.search(query, count, eligible).tolist() == one.search(query, count, eligible).tolist()


@pytest.mark.usefixtures("searched")
def test_product_codes_bring_enough_for_exact_products_to_order(tmp_path: Path) -> None:
    """Four-bit codes of pairs tell little; the mapped vectors put what they bring in order."""
    vectors = unit_vectors(900, 3)
    folder, path = tmp_path / "spilled", tmp_path / "index.faiss"
    index = ItemIndex.train(vectors, CELLS, "PQ4x4", shards=3, folder=folder).with_probes({10: CELLS})
    assert sorted(one.name for one in folder.iterdir()) == ["0.faiss", "1.faiss", "2.faiss"]
    index.save(path)
    assert sorted(one.name for one in tmp_path.glob("index*.faiss")) == [
        "index.1.faiss",
        "index.2.faiss",
        "index.faiss",
    ]
    mapped, eligible, found = ItemIndex.load(path, vectors), those(vectors, 1.0, 0), []
    for query in vectors[RESERVED::45]:
        rows = mapped.search(query, 10, eligible)
        products = vectors[rows] @ query
        assert (np.diff(products) <= 1e-6).all()
        assert rows.tolist() == index.search(query, 10, eligible).tolist()
        found.append(np.isin(np.argsort(-(vectors @ query), kind="stable")[:10], rows).mean())
    assert np.mean(found) > 0.9


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize("cells", [0, CELLS])
def test_changes_renew_their_shards_alone(tmp_path: Path, cells: int) -> None:
    vectors = unit_vectors(400, 7)
    whole = ItemIndex.train(vectors[:360], cells, "Flat", shards=3) if cells else ItemIndex.build(vectors[:360], 3)
    whole.with_probes({50: cells}).save(tmp_path / "index.faiss")
    changed = np.array([3, 4, *range(360, 400)])
    vectors[3], vectors[4] = vectors[200], 0.0
    renew_index(tmp_path / "index.faiss", tmp_path / "renewed.faiss", vectors, changed)
    same = [(tmp_path / f"index{n}.faiss").read_bytes() == (tmp_path / f"renewed{n}.faiss").read_bytes() for n in FILES]
    assert same == [False, True, False]
    mapped, eligible = ItemIndex.load(tmp_path / "renewed.faiss", vectors), those(vectors, 1.0, 0)
    for query in vectors[[2, 3, 150, 399]]:
        best = np.argsort(-(vectors @ query), kind="stable")
        assert mapped.search(query, 5, eligible).tolist() == [row for row in best.tolist() if np.any(vectors[row])][:5]

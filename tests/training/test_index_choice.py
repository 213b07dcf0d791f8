"""The index of a large catalogue finds what exact search finds, and a search among few or many rows does too."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.arrays import FloatArray
from features.vocabulary import RESERVED
from serving.retrieval import eligibility
from serving.retrieval.bitmap import pack
from serving.retrieval.eligibility import Eligible
from serving.retrieval.index import ItemIndex
from serving.retrieval.scores import dots
from training.export import index_choice
from training.export.index_choice import choose_index
from training.export.index_config import IndexConfig

ITEMS, DIM = 6_000, 16


@pytest.fixture(scope="module")
def vectors() -> FloatArray:
    """Items around forty centres."""
    draw = np.random.default_rng(3)
    centres = draw.normal(size=(40, DIM))
    table = centres[draw.integers(0, 40, ITEMS)] + 0.4 * draw.normal(size=(ITEMS, DIM))
    table = (table / np.linalg.norm(table, axis=1, keepdims=True)).astype(np.float32)
    table[:RESERVED] = 0.0
    return np.asarray(table)


@pytest.fixture(scope="module")
def chosen(vectors: FloatArray) -> tuple[ItemIndex, list[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eligibility, "FEW", 1_000)
        patch.setattr(index_choice, "EXACT_ITEMS", 1_000)
        patch.setattr(index_choice, "CODES", ("SQ8",))
        patch.setattr(index_choice, "SLOWER", np.inf)  # of what finds enough the smallest, however fast this machine is
        return choose_index(vectors, lambda: vectors[RESERVED::300])


def test_a_small_catalogue_is_searched_exactly(vectors: FloatArray) -> None:
    index, tried = choose_index(vectors, lambda: vectors[:0])
    assert (index.cells, tried) == (0, [])


def test_the_choice_finds_enough_and_is_told(chosen: tuple[ItemIndex, list[Any]]) -> None:
    _, tried = chosen
    *fewer, best = sorted((one for one in tried if one.chosen), key=lambda one: one.depth)
    assert [one.depth for one in (*fewer, best)] == [50, 200, index_choice.DEPTH]
    assert best.recall >= index_choice.FLOOR
    assert all(one.recall >= index_choice.FLOOR or one.probes == best.probes for one in fewer)
    assert [one.codes for one in tried][:2] == ["exact", "SQ8"]
    assert tried[0].recall == 1.0


@pytest.mark.parametrize(("kind", "codes"), [("ivf", "SQ8"), ("ivfpq", "PQ4")])
def test_a_kind_that_is_asked_for_is_taken_in_the_shards_asked_for(
    vectors: FloatArray, kind: str, codes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_choice, "FEW", 1_000)
    monkeypatch.setattr(eligibility, "FEW", 1_000)
    monkeypatch.setattr(index_choice, "CODES", ("SQ8",))
    monkeypatch.setattr(index_choice, "PRODUCT_DIMS", (4,))
    config = IndexConfig.parse({"kind": kind, "shards": 3})
    index, tried = choose_index(vectors, lambda: vectors[RESERVED::300], config, tmp_path)
    assert {one.codes for one in tried} == {codes}
    (best,) = [one for one in tried if one.chosen and one.depth == index_choice.DEPTH]
    assert best.recall >= index_choice.FLOOR
    assert best.megabytes == pytest.approx(ITEMS * (DIM if kind == "ivf" else 4) / 1e6, abs=0.06)
    index.save(tmp_path / "index.faiss")
    assert len(list(tmp_path.glob("index*.faiss"))) == 3


def test_exact_is_exact_however_many_rows_there_are(vectors: FloatArray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_choice, "EXACT_ITEMS", 1_000)
    index, tried = choose_index(vectors, lambda: vectors[:0], IndexConfig(kind="exact", shards=2))
    assert (index.cells, tried) == (0, [])


def test_what_finds_most_is_taken_when_nothing_finds_enough(
    vectors: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eligibility, "FEW", 1_000)
    for name, value in {"FEW": 1_000, "PROBES": (1, 2), "CODES": ("SQ4", "SQ8")}.items():
        monkeypatch.setattr(index_choice, name, value)
    _, tried = choose_index(vectors, lambda: vectors[RESERVED::300], IndexConfig(kind="ivf"))
    deep = [one for one in tried if one.depth == index_choice.DEPTH]
    (chosen,) = [one for one in deep if one.chosen]
    assert chosen.recall == max(one.recall for one in deep) < index_choice.FLOOR


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01])
def test_recall_holds_whatever_share_is_eligible(
    vectors: FloatArray, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eligibility, "FEW", 100)
    index = ItemIndex.train(vectors, 128, "SQ8").with_probes({10: 24})
    mask = np.random.default_rng(1).random(ITEMS) < share
    mask[:RESERVED] = False
    eligible, rows = Eligible(pack(mask)), np.flatnonzero(mask)
    assert index.plan(eligible, 10).name == ("exact" if len(rows) <= 100 else "probed")
    found = []
    for query in vectors[RESERVED::200]:
        best = rows[np.argsort(-dots(vectors[rows], query), kind="stable")[:10]]
        answer = index.search(query, 10, eligible)
        assert eligible.has(answer).all()
        found.append(np.isin(best, answer).mean())
    assert np.mean(found) >= 0.98


def test_the_more_are_wanted_the_more_cells_are_searched(chosen: tuple[ItemIndex, list[Any]]) -> None:
    index, everything = chosen[0], Eligible(pack(np.arange(ITEMS) >= RESERVED))
    index = index.with_probes({50: 2, 200: 8, 500: 16})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eligibility, "FEW", 100)
        cells = [index.plan(everything, count).cells for count in (20, 50, 51, 500, 501)]
    assert cells == [3, 3, 9, 17, index.cells]

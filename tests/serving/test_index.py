"""The index takes unit vectors and zeros only, and an item of which the tower knows nothing is near to nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import BundleError
from features.person import Person
from features.vocabulary import RESERVED
from serving.bundle import Bundle, open_bundle
from serving.retrieval.bitmap import members, pack
from serving.retrieval.eligibility import Eligible, open_to_all
from serving.retrieval.index import ItemIndex
from serving.retrieval.similar import similar_rows
from serving.retrieval.sources import Nearest, New
from serving.retrieval.statistics import Statistics
from serving.situation import situation


def unit_vectors(count: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:RESERVED] = 0.0
    return vectors


def test_the_best_come_first_and_blocked_rows_never(tmp_path: Path) -> None:
    vectors = unit_vectors(40)
    blocked = np.arange(40) % 3 == 0
    blocked[:RESERVED] = True
    ItemIndex.build(vectors).save(tmp_path / "index.faiss")
    index = ItemIndex.load(tmp_path / "index.faiss", vectors)
    found = index.search(vectors[5], 40, Eligible(pack(~blocked)))
    allowed = np.flatnonzero(~blocked)
    assert found.tolist() == allowed[np.argsort(-(vectors[allowed] @ vectors[5]), kind="stable")].tolist()


def test_zeros_are_vectors_and_other_lengths_are_refused() -> None:
    vectors = unit_vectors(10)
    vectors[7] = 0.0
    ItemIndex.build(vectors)
    vectors[8] *= 0.5
    with pytest.raises(BundleError, match=r"must be L2-normalised; norms run from 0\.500 to 1\.000"):
        ItemIndex.build(vectors)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("blocked", ["any", "the nearest"])
def test_where_nearly_all_rows_are_eligible_the_same_are_found_among_all(
    blocked: str, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = unit_vectors(12_000)
    index = ItemIndex.train(vectors, 16, "SQ8", shards=shards).with_probes({50: 8})
    for query in vectors[100:120]:
        order = np.argsort(-(vectors @ query)) if blocked == "the nearest" else np.arange(0, len(vectors), 19)
        mask = np.ones(len(vectors), dtype=bool)
        mask[:RESERVED] = mask[order[:600]] = False
        eligible = Eligible(pack(mask))
        assert eligible.few is None
        found = index.search(query, 50, eligible)
        with monkeypatch.context() as patch:
            patch.setattr("serving.retrieval.shards.NEARLY_ALL", 2.0)
            assert found.tolist() == index.search(query, 50, Eligible(pack(mask))).tolist()
        assert mask[found].all()
        assert len(found) == 50


@pytest.fixture(scope="module")
def bundle(trained: Any) -> Bundle:
    """The trained bundle, where half the items have no vector, some are turned round, and all are new."""
    whole = open_bundle(trained.bundle)
    vectors = np.array(whole.catalogue.vectors)
    vectors[::2] = 0.0
    vectors[1::4] *= -1
    seen = whole.statistics
    new = Statistics.of(
        popularity=np.asarray(seen.popularity),
        recent=np.asarray(seen.recent),
        first_seen=np.full(len(vectors), seen.newest),
        mean_value=np.asarray(seen.mean_value),
        newest=seen.newest,
    )
    return replace(
        whole,
        catalogue=replace(whole.catalogue, vectors=vectors, placed=pack(np.any(vectors, axis=1))),
        index=ItemIndex.build(vectors),
        statistics=new,
    )


@pytest.mark.parametrize("source", [Nearest(), New()], ids=lambda source: source.name)
def test_a_source_of_near_items_brings_all_that_have_a_vector_and_no_other(bundle: Bundle, source: Any) -> None:
    here = situation(bundle, Person(), bundle.statistics.newest)
    rows = source.retrieve(here, len(bundle.catalogue))
    assert sorted(rows) == members(bundle.catalogue.placed & here.eligible.bitmap).tolist()
    cosines = np.asarray(bundle.catalogue.vectors)[rows] @ here.user_vector
    assert cosines.min() < 0, "a vector of zeros would stand before these"
    assert (np.diff(cosines) <= 1e-6).all()


def test_similar_items_have_a_vector_and_scores_are_cosines(bundle: Bundle) -> None:
    eligible = open_to_all(bundle.schema, bundle.catalogue, bundle.statistics.newest)
    vectors, rows = np.asarray(bundle.catalogue.vectors), np.array([5, 9, 12])
    found, scores = similar_rows(bundle, rows, len(vectors), "similar", eligible)
    assert sorted(found) == members(bundle.catalogue.placed & eligible.bitmap).tolist()
    middle = vectors[rows].sum(axis=0)
    np.testing.assert_allclose(scores, vectors[found] @ (middle / np.linalg.norm(middle)), atol=1e-6)
    assert len(similar_rows(bundle, np.array([12]), 5, "similar", eligible)[0]) == 0

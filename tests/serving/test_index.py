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
from serving.index import ItemIndex
from serving.similar import similar_rows
from serving.situation import situation
from serving.sources import Nearest, New


def unit_vectors(count: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:RESERVED] = 0.0
    return vectors


def test_the_best_come_first_and_blocked_rows_never(tmp_path: Path) -> None:
    vectors = unit_vectors(40)
    blocked = np.arange(40) % 3 == 0
    blocked[:RESERVED] = True
    ItemIndex.build(vectors, RESERVED).save(tmp_path / "index.faiss")
    found = ItemIndex.load(tmp_path / "index.faiss").search(vectors[5], 40, blocked)
    allowed = np.flatnonzero(~blocked)
    assert found.tolist() == allowed[np.argsort(-(vectors[allowed] @ vectors[5]), kind="stable")].tolist()


def test_zeros_are_vectors_and_other_lengths_are_refused() -> None:
    vectors = unit_vectors(10)
    vectors[7] = 0.0
    ItemIndex.build(vectors, RESERVED)
    vectors[8] *= 0.5
    with pytest.raises(BundleError, match=r"must be L2-normalised; norms run from 0\.500 to 1\.000"):
        ItemIndex.build(vectors, RESERVED)


@pytest.fixture(scope="module")
def bundle(trained: Any) -> Bundle:
    """The trained bundle, where half the items have no vector, some are turned round, and all are new."""
    whole = open_bundle(trained.bundle)
    vectors = np.array(whole.catalogue.vectors)
    vectors[::2] = 0.0
    vectors[1::4] *= -1
    first_seen = np.full(len(vectors), whole.statistics.newest)
    return replace(
        whole,
        catalogue=replace(whole.catalogue, vectors=vectors),
        index=ItemIndex.build(vectors, RESERVED),
        statistics=replace(whole.statistics, first_seen=first_seen),
    )


@pytest.mark.parametrize("source", [Nearest(), New()], ids=lambda source: source.name)
def test_a_source_of_near_items_brings_all_that_have_a_vector_and_no_other(bundle: Bundle, source: Any) -> None:
    here = situation(bundle, Person(), bundle.statistics.newest)
    rows = source.retrieve(here, len(bundle.catalogue))
    assert sorted(rows) == np.flatnonzero(bundle.catalogue.placed & ~here.blocked).tolist()
    cosines = bundle.catalogue.vectors[rows] @ here.user_vector
    assert cosines.min() < 0, "a vector of zeros would stand before these"
    assert (np.diff(cosines) <= 1e-6).all()


def test_similar_items_have_a_vector_and_scores_are_cosines(bundle: Bundle) -> None:
    blocked = bundle.catalogue.unavailable(bundle.statistics.newest)
    vectors, rows = bundle.catalogue.vectors, np.array([5, 9, 12])
    found, scores = similar_rows(bundle, rows, len(vectors), "similar", blocked)
    assert sorted(found) == np.flatnonzero(bundle.catalogue.placed & ~blocked).tolist()
    middle = vectors[rows].sum(axis=0)
    np.testing.assert_allclose(scores, vectors[found] @ (middle / np.linalg.norm(middle)), atol=1e-6)
    assert len(similar_rows(bundle, np.array([12]), 5, "similar", blocked)[0]) == 0

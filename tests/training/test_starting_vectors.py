"""Ids start near what they were taken with, the same every time, and anywhere when nothing is known."""

import numpy as np

from features.vocabulary import RESERVED
from training.towers.starting_vectors import starting_vectors
from training.transitions.pair_counts import Sequences

GROUP, GROUPS = 8, 3
ROWS = RESERVED + GROUP * GROUPS + 1
DIM = 8


def in_groups(people: int = 120, length: int = 12) -> Sequences:
    """Everybody keeps to one of three groups of items; the last row is never taken."""
    draw = np.random.default_rng(0)
    rows = [RESERVED + draw.integers(GROUP, size=length) + GROUP * (person % GROUPS) for person in range(people)]
    return Sequences.of(np.concatenate(rows), np.arange(people + 1) * length, ROWS)


def test_items_taken_together_start_together() -> None:
    vectors = starting_vectors(in_groups(), ROWS, DIM, seed=0)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    taken = vectors[RESERVED:-1]
    groups = np.arange(len(taken)) // GROUP
    same = groups[:, None] == groups
    cosines = taken @ taken.T
    assert cosines[same].mean() > cosines[~same].mean() + 0.3


def test_the_same_seed_gives_the_same_vectors() -> None:
    one, other = (starting_vectors(in_groups(), ROWS, DIM, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_without_any_pair_every_direction_is_random() -> None:
    nobody = Sequences.of(np.empty(0, np.int64), np.zeros(1, np.int64), ROWS)
    vectors = starting_vectors(nobody, ROWS, DIM, seed=0)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_catalogue_smaller_than_the_vectors() -> None:
    assert starting_vectors(in_groups(), ROWS, 2 * ROWS, seed=0).shape == (ROWS, 2 * ROWS)

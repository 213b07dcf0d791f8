"""Fitted transitions equal a count by dictionary; the search finds what a planted world rewards."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.arrays import IntArray
from features.errors import DataError
from features.vocabulary import PAD, RESERVED, UNKNOWN
from serving.retrieval.transitions import Transitions, TransitionSettings
from training.transitions import search
from training.transitions.fit import fit_transitions
from training.transitions.search import choose_settings

R = 8
SETTINGS = TransitionSettings(window=3, distance_power=0.5, smoothing=2.0)
HALF = 2.0**-11
"""By how much a number may change that is rounded to 16 bits."""
WORLDS = st.lists(st.lists(st.integers(PAD, R - 1), max_size=12), max_size=6)


def events(sequences: list[list[int]]) -> tuple[IntArray, IntArray]:
    rows = np.array([row for one in sequences for row in one], dtype=np.int64)
    return rows, np.cumsum([0, *map(len, sequences)])


def stored(model: Transitions) -> dict[tuple[int, int], float]:
    sources = np.repeat(np.arange(model.n_rows), np.diff(model.indptr)).tolist()
    return dict(zip(zip(sources, model.indices.tolist(), strict=True), model.evidence.tolist(), strict=True))


@given(WORLDS, st.integers(1, 30))
def test_equals_a_count_by_dictionary(world: list[list[int]], pairs_per_block: int) -> None:
    model = fit_transitions(*events(world), R, SETTINGS, pairs_per_block=pairs_per_block)
    counts: Counter[tuple[int, int]] = Counter()
    following: Counter[tuple[int, int]] = Counter()
    frequency: Counter[int] = Counter()
    for one in world:
        known = [row for row in one if row >= RESERVED]
        frequency.update(known)
        for place, source in enumerate(known):
            for distance, target in enumerate(known[place + 1 : place + 4], start=1):
                counts[source, target] += distance**-0.5
                following[source, target] += distance == 1
    n_items, total = max(1, len(frequency)), sum(frequency.values())
    expected = {pair: math.log1p(count * n_items / 2.0) for pair, count in counts.items()}
    assert stored(model) == pytest.approx(expected, rel=HALF)
    next_only = [math.log1p(following[pair] * n_items / 2.0) for pair in sorted(counts)]
    assert model.next_evidence.tolist() == pytest.approx(next_only, rel=HALF)
    popularity = [math.log((frequency[row] + 1) / (total + n_items)) for row in range(R)]
    assert model.log_popularity.tolist() == pytest.approx(popularity, rel=1e-6)


@given(WORLDS, st.integers(1, 3))
def test_the_cap_keeps_the_strongest_followers(world: list[list[int]], cap: int) -> None:
    full = fit_transitions(*events(world), R, SETTINGS)
    capped = fit_transitions(*events(world), R, SETTINGS, max_neighbours=cap, pairs_per_block=5)
    for item in range(R):
        assert capped.row(item)[1].tolist() == full.row(item)[1].tolist()[:cap]
    assert stored(capped).items() <= stored(full).items()


def test_users_do_not_run_into_each_other() -> None:
    model = fit_transitions(*events([[2, 3], [4, 5]]), R, SETTINGS)
    assert set(stored(model)) == {(2, 3), (4, 5)}


@pytest.mark.parametrize("offsets", [[], [1, 4], [0, 3], [0, 3, 2, 4]])
def test_offsets_that_do_not_fit_are_refused(offsets: list[int]) -> None:
    with pytest.raises(DataError, match="rise from 0 to the number of events, 4"):
        fit_transitions(np.array([2, 3, 4, 5]), np.array(offsets, dtype=np.int64), R, SETTINGS)


@pytest.mark.parametrize("row", [-1, R])
def test_rows_outside_the_table_are_refused(row: int) -> None:
    with pytest.raises(DataError, match=r"table has 8 rows.*vocabulary"):
        fit_transitions(np.array([2, row]), np.array([0, 2]), R, SETTINGS)


def walks(step: int, users: int = 60, length: int = 16, n_items: int = 40) -> list[list[int]]:
    """Users who walk a ring of items: the item `step` events after this one is the next on the ring."""
    starts = np.random.default_rng(0).integers(0, n_items, (users, step))
    ring = starts[:, None, :] + np.arange(-(-length // step))[None, :, None]
    walked: list[list[int]] = (ring.reshape(users, -1)[:, :length] % n_items + RESERVED).tolist()
    return walked


def planted_search(step: int, **options: float) -> TransitionSettings:
    world = walks(step)
    rows, offsets = events([one[:-1] for one in world])
    return choose_settings(rows, offsets, 42, np.array([one[-1] for one in world]), **options)  # type: ignore[arg-type]


def test_the_search_counts_as_far_as_the_world_needs() -> None:
    assert planted_search(step=1).distance_power > 0
    assert planted_search(step=5).window >= 5


def test_finalists_are_judged_by_more_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "RACE_EXAMPLES", 1)
    monkeypatch.setattr(search, "FINALISTS", 100)
    assert planted_search(step=5).window >= 5


def test_the_search_is_the_same_each_time() -> None:
    assert planted_search(step=2) == planted_search(step=2)


def test_the_budget_ends_the_search() -> None:
    tried_once = planted_search(step=2, budget_seconds=0.0)
    assert tried_once.window == 20
    assert tried_once.smoothing == pytest.approx(4.0)


def test_without_examples_the_search_gives_defaults_for_the_catalogue() -> None:
    rows, offsets = events([[2, 3, 4], [3, 4, 2]])
    targets = np.array([-1, UNKNOWN])
    chosen = choose_settings(rows, offsets, R, targets, max_history=50)
    assert chosen.smoothing == pytest.approx(0.3)
    assert chosen.max_history == 50


def test_a_taken_target_is_no_example_unless_items_may_come_again() -> None:
    rows, offsets = events([[2, 3, 2, 3, 2]] * 5)
    start = choose_settings(rows, offsets, R, np.full(5, -1))
    assert choose_settings(rows, offsets, R, np.full(5, 3)) == start
    again = choose_settings(rows, offsets, R, np.full(5, 3), filter_taken=False)
    model = fit_transitions(rows, offsets, R, again)
    assert model.scores(rows[:5]).argmax() == 3


def test_a_sample_of_users_leaves_smoothing_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = planted_search(step=2, budget_seconds=0.0)
    monkeypatch.setattr(search, "MAX_SEARCH_EVENTS", 15 * 30)  # half of the 60 users
    half = planted_search(step=2, budget_seconds=0.0)
    assert half.smoothing == pytest.approx(2 * whole.smoothing, rel=0.1)


def test_targets_must_belong_to_the_histories() -> None:
    with pytest.raises(DataError, match="2 histories came with 1 targets"):
        choose_settings(*events([[2, 3], [4]]), R, np.array([5]))

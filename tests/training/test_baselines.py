"""The baselines rank as their names say."""

import numpy as np
import pytest

from features.errors import DataError
from features.vocabulary import RESERVED
from training.evaluation.baselines import MILLISECONDS_PER_DAY, Popularity, RecentPopularity, Scorer, markov_chain

R = 8
NOBODY = np.zeros(0, dtype=np.int64)


def ranked(scorer: Scorer, history: list[int]) -> list[int]:
    best_first: list[int] = np.argsort(-scorer.scores(np.array(history, dtype=np.int64)), kind="stable").tolist()
    return best_first


def test_popularity_ranks_by_events() -> None:
    popular = Popularity(np.array([5, 5, 5, 3, 3, 7, 1, 1, 1, 1]), R)
    assert ranked(popular, [5])[:3] == [5, 3, 7]
    assert np.isneginf(popular.scores(NOBODY)[:RESERVED]).all()


def test_an_answer_cannot_be_overwritten() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Popularity(np.array([2, 3]), R).scores(NOBODY)[2] = 9


def test_recent_popularity_halves_an_event_each_half_life() -> None:
    days = np.array([0, 0, 0, 7, 14])
    recent = RecentPopularity(np.array([2, 2, 2, 3, 4]), days * MILLISECONDS_PER_DAY, R, half_life_days=7)
    assert recent.scores(NOBODY)[2:5].tolist() == pytest.approx([0.75, 0.5, 1.0])


def test_recent_popularity_does_not_depend_on_the_calendar() -> None:
    rows, moments = np.array([2, 3, 3]), np.array([0, 1, 2]) * MILLISECONDS_PER_DAY
    early, late = RecentPopularity(rows, moments, R), RecentPopularity(rows, moments + 10**12, R)
    np.testing.assert_array_equal(early.scores(NOBODY), late.scores(NOBODY))


def test_recent_popularity_of_nothing_is_nothing() -> None:
    assert not RecentPopularity(NOBODY, NOBODY, R).scores(NOBODY)[RESERVED:].any()


def test_moments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="2 events came with 1 moments"):
        RecentPopularity(np.array([2, 3]), np.array([0]), R)


def test_a_half_life_must_be_positive() -> None:
    with pytest.raises(DataError, match="half_life_days"):
        RecentPopularity(np.array([2]), np.array([0]), R, half_life_days=0)


def test_the_chain_ranks_by_what_came_next_and_then_by_popularity() -> None:
    users = [[2, 3], [2, 3], [2, 4], [5, 6], [5, 6], [5, 7], [6, 6]]
    offsets = np.cumsum([0, *map(len, users)])
    chain = markov_chain(np.concatenate(users), offsets, R)
    assert ranked(chain, [2])[:3] == [3, 4, 6]  # twice, once, then the most popular of the others
    assert ranked(chain, [5, 2]) == ranked(chain, [2])
    assert ranked(chain, [])[:1] == [6]


def test_a_count_more_outweighs_any_popularity() -> None:
    frequent, rare = 3, 4
    rows = np.array([2, frequent] * 100 + [2, rare] * 101 + [frequent] * 50_000)
    chain = markov_chain(rows, np.array([*range(0, 403, 2), len(rows)]), R)
    assert ranked(chain, [2])[:2] == [rare, frequent]

"""Metrics against their definitions, computed slowly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.metrics import (
    Judged,
    accuracy,
    breadth,
    by_segment,
    calibration_table,
    gains,
    paired_interval,
    per_user,
)


def judged_of(lists: list[list[int]], targets: list[int], users: list[int]) -> Judged:
    return Judged([np.array(one, dtype=np.int64) for one in lists], np.array(targets), np.array(users))


cases = st.lists(
    st.tuples(st.lists(st.integers(2, 12), unique=True, max_size=8), st.integers(2, 12), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


@given(cases, st.integers(1, 8))
def test_accuracy_equals_its_definition(moments: list[tuple[list[int], int, int]], k: int) -> None:
    judged = judged_of(*(list(part) for part in zip(*moments, strict=True)))
    by_user: dict[int, list[tuple[float, float, float]]] = {}
    for rows, target, user in moments:
        rank = rows[:k].index(target) + 1 if target in rows[:k] else None
        values = (1.0, 1 / np.log2(1 + rank), 1 / rank) if rank else (0.0, 0.0, 0.0)
        by_user.setdefault(user, []).append(values)
    expected = np.mean([np.mean(values, axis=0) for values in by_user.values()], axis=0)
    found = accuracy(judged, k)
    assert [found[f"recall@{k}"], found[f"ndcg@{k}"], found[f"mrr@{k}"]] == pytest.approx(expected.tolist())


def test_a_user_with_many_moments_counts_once() -> None:
    values = np.array([1.0, 1.0, 1.0, 0.0])
    assert per_user(values, np.array([7, 7, 7, 9])).tolist() == [1.0, 0.0]


def test_a_rank_beyond_k_gains_nothing() -> None:
    assert gains(np.array([0, 1, 3, 11]), 10).tolist() == pytest.approx([0.0, 1.0, 0.5, 0.0])


def test_breadth_of_lists_that_show_only_the_most_popular() -> None:
    popularity = np.array([0, 0, 8, 1, 1], dtype=np.float32)
    found = breadth(judged_of([[2], [2]], [3, 4], [0, 1]), 1, popularity)
    assert found["coverage@1"] == pytest.approx(1 / 3)
    assert found["popularity_bias@1"] == pytest.approx(8.0)
    assert found["novelty@1"] == pytest.approx(-np.log2(9 / 13))


def test_an_interval_holds_the_mean_and_excludes_zero_when_every_user_gains() -> None:
    mine = np.linspace(0.2, 0.4, 200)
    found = paired_interval(mine, mine - 0.05, seed=1)
    assert found.low == pytest.approx(0.05)
    assert found.high == pytest.approx(0.05)
    none = paired_interval(mine, mine[::-1].copy(), seed=1)
    assert none.low < 0 < none.high


def test_a_calibrated_forecast_is_seen_as_one_and_a_doubled_one_is_not() -> None:
    draw = np.random.default_rng(0)
    probabilities = draw.beta(1, 20, 200_000)
    labels = draw.random(len(probabilities)) < probabilities
    fair = calibration_table(probabilities, labels)
    doubled = calibration_table(np.minimum(2 * probabilities, 1.0), labels)
    assert fair["observed_over_expected"] == pytest.approx(1.0, abs=0.03)
    assert 0.9 < float(str(fair["worst_bin"])) < 1.1
    assert doubled["observed_over_expected"] == pytest.approx(0.5, abs=0.02)
    assert float(str(doubled["ece"])) > 10 * float(str(fair["ece"]))


def test_segments_average_by_user_and_stand_in_the_order_of_their_numbers() -> None:
    values = {"ndcg": np.array([1.0, 1.0, 0.0, 0.5])}
    found = by_segment(values, np.array([1, 1, 2, 2]), ["6-20", "6-20", "6-20", "21-100"])
    assert list(found) == ["6-20", "21-100"]
    assert found["6-20"] == {"moments": 3.0, "ndcg": 0.5}

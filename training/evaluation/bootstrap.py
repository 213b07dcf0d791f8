"""Intervals by drawing users again: people, not moments, are what another week would bring other ones of.

M moments of U users. A statistic is given a weight for every user, how often it was drawn, and answers one number.
"""

from collections.abc import Callable

import numpy as np

from features.arrays import IntArray
from training.evaluation.metrics import Doubles, Interval

RESAMPLES = 500
Statistic = Callable[[Doubles], float]
"""From weights float64 [U] of users to a number; nan where nobody who counts was drawn."""


def interval_of(statistic: Statistic, users: int, seed: int, resamples: int = RESAMPLES) -> Interval:
    """The statistic with every user once, and its 95 % bootstrap interval; all nan when it has no value."""
    draw = np.random.default_rng(seed)
    drawn = [statistic(one) for one in draw.multinomial(users, np.full(users, 1 / users), resamples).astype(float)]
    known = np.array([value for value in drawn if np.isfinite(value)])
    if len(known) == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(statistic(np.ones(users))), float(low), float(high))


def weighted_mean(values: Doubles, weights: Doubles) -> float:
    """The mean of float64 [N] with weights float64 [N]; nan when they are all 0."""
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else float("nan")


def by_user(values: Doubles, users: IntArray, count: int) -> tuple[Doubles, Doubles]:
    """Mean float64 [U] of the values float64 [M] of each user, 0 for one without any, and 1.0 where there is one."""
    moments = np.bincount(users, minlength=count)
    sums = np.bincount(users, weights=values, minlength=count)
    return sums / np.maximum(moments, 1), (moments > 0).astype(float)

"""Metrics of ranked lists against what people took next; lists in, numbers out, never a model.

M moments of U users; every user counts the same, whatever the number of their moments. A list is int64 item rows,
best first. With one target per moment, Recall@k is the hit rate and NDCG@k is 1 / log2(1 + rank).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.vocabulary import RESERVED

Doubles = np.ndarray
RESAMPLES = 2_000


class Judged(NamedTuple):
    """What one system put before each moment's target."""

    lists: Sequence[IntArray]
    """M lists."""
    targets: IntArray
    """int64 [M] rows; UNKNOWN for an item that the model never saw, which counts as a miss."""
    users: IntArray
    """int64 [M] codes."""

    def ranks(self) -> IntArray:
        """int64 [M]: place of the target from 1; 0 where the list does not hold it."""
        places = [np.flatnonzero(rows == target) for rows, target in zip(self.lists, self.targets, strict=True)]
        return np.array([place[0] + 1 if len(place) else 0 for place in places], dtype=np.int64)


def gains(ranks: IntArray, k: int) -> Doubles:
    """float64 [M] NDCG@k of one target each."""
    hit = (ranks > 0) & (ranks <= k)
    return np.where(hit, 1.0 / np.log2(1.0 + np.maximum(ranks, 1)), 0.0)


def per_user(values: Doubles, users: IntArray) -> Doubles:
    """float64 [U]: mean by user, in ascending order of codes."""
    codes, inverse = np.unique(users, return_inverse=True)
    return np.bincount(inverse, weights=values, minlength=len(codes)) / np.bincount(inverse)


def accuracy(judged: Judged, k: int) -> dict[str, float]:
    """Recall, NDCG and MRR at k, averaged by user and then over users."""
    ranks = judged.ranks()
    hit = (ranks > 0) & (ranks <= k)
    reciprocal = np.where(hit, 1.0 / np.where(hit, ranks, 1), 0.0)
    values = {f"recall@{k}": hit.astype(float), f"ndcg@{k}": gains(ranks, k), f"mrr@{k}": reciprocal}
    return {name: float(per_user(value, judged.users).mean()) for name, value in values.items()}


def breadth(judged: Judged, k: int, popularity: FloatArray) -> dict[str, float]:
    """Coverage, novelty, and popularity bias of the lists' first k.

    coverage: share of all items that appear in some list. novelty: mean of -log2 of an item's share
    of all events, in bits (Vargas and Castells, RecSys 2011). popularity_bias: mean popularity of what is shown
    over mean popularity of what was taken.
    """
    shown = np.concatenate([rows[:k] for rows in judged.lists] or [np.empty(0, dtype=np.int64)])
    known = int(np.count_nonzero(popularity))
    share = (popularity[shown] + 1) / (popularity.sum() + known)
    taken = popularity[judged.targets].mean() if len(judged.targets) else 0.0
    return {
        f"coverage@{k}": float(len(np.unique(shown)) / max(len(popularity) - RESERVED, 1)),
        f"novelty@{k}": float(-np.log2(share).mean()) if len(shown) else 0.0,
        f"popularity_bias@{k}": float(popularity[shown].mean() / taken) if len(shown) and taken else 0.0,
    }


class Interval(NamedTuple):
    """A mean difference with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def paired_interval(mine: Doubles, other: Doubles, seed: int) -> Interval:
    """Paired bootstrap over users of mine - other, each float64 [U]."""
    difference = mine - other
    draw = np.random.default_rng(seed)
    means = [difference[draw.integers(0, len(difference), len(difference))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(difference.mean()), float(low), float(high))


def calibration_table(probabilities: Doubles, labels: np.ndarray, bins: int = 10) -> dict[str, object]:
    """Observed over expected, expected calibration error, and equal-mass bins of (expected, observed).

    probabilities float64 [M], labels bool [M]. Bins hold equal expected mass, so that a rare event is judged
    where it is predicted at all.
    """
    order = np.argsort(probabilities)
    sorted_p, sorted_y = probabilities[order], labels[order].astype(float)
    mass = np.cumsum(sorted_p)
    edges = np.searchsorted(mass, np.linspace(0, mass[-1], bins + 1)[1:-1])
    parts = [part for part in zip(np.split(sorted_p, edges), np.split(sorted_y, edges), strict=True) if len(part[0])]
    ratios = [float(y.sum() / p.sum()) for p, y in parts]
    error = sum(abs(float(y.sum() - p.sum())) for p, y in parts) / len(labels)
    return {
        "observed_over_expected": float(labels.sum() / probabilities.sum()),
        "ece": error,
        "bins": [{"expected": float(p.mean()), "observed": float(y.mean()), "count": len(p)} for p, y in parts],
        "worst_bin": max(ratios, key=lambda ratio: abs(float(np.log(max(ratio, 1e-9))))),
    }


def by_segment(values: Mapping[str, Doubles], users: IntArray, segments: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each metric [M] within each segment label [M], by user and then over users, and how many moments it holds."""
    labels = np.array(segments)
    return {
        str(label): {
            "moments": float((labels == label).sum()),
            **{
                name: float(per_user(value[labels == label], users[labels == label]).mean())
                for name, value in values.items()
            },
        }
        for label in sorted(set(segments), key=_number_first)
    }


def _number_first(label: str) -> tuple[float, str]:
    """Sorts "6-20 events" before "21-100 events"."""
    digits = re.match(r"\d+", label)
    return (float(digits[0]) if digits else float("inf"), label)

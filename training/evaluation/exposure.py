"""Who and what the lists bring before people's eyes: groups of items, the popular few, the breadth of a list.

M lists of at most k item rows of U users, R item rows, D embedding_dim. A place counts 1 / log2(1 + place), the share
of looks that NDCG gives it (Singh and Joachims, KDD 2018).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.vocabulary import RESERVED
from training.evaluation.bootstrap import by_user, interval_of, weighted_mean
from training.evaluation.metrics import Doubles

POPULAR_SHARE = 0.1
"""The part of all taken items that counts as popular."""
PAIRS = 2_000
"""Pairs of users whose lists are laid beside each other."""


class Shown(NamedTuple):
    """The lists of M moments, cut to k."""

    lists: Sequence[IntArray]
    targets: IntArray
    """int64 [M]: rows of what was taken."""
    users: IntArray
    """int64 [M] codes from 0 to U - 1."""

    @property
    def people(self) -> int:
        """U."""
        return int(self.users.max()) + 1

    def flat(self) -> tuple[IntArray, Doubles, IntArray]:
        """All places one after another: item rows, looks, and moments, each [N]."""
        lengths = np.array([len(one) for one in self.lists])
        places = np.concatenate([np.arange(1, length + 1) for length in lengths] or [np.empty(0)])
        rows = np.concatenate([*self.lists, np.empty(0, dtype=np.int64)]).astype(np.int64)
        return rows, 1 / np.log2(1 + places), np.repeat(np.arange(len(lengths)), lengths)


def exposure_by_group(shown: Shown, codes: IntArray, name_of: Callable[[int], str], seed: int) -> dict[str, Any]:
    """By value of an item's attribute, int64 [R] codes: share of looks, share of what was taken, and their ratio."""
    rows, looks, moments = shown.flat()
    known = shown.targets >= RESERVED
    taken = codes[shown.targets]
    found = {}
    for code in np.unique(np.concatenate([codes[rows], taken[known]])).tolist():
        mine = np.bincount(moments, weights=looks * (codes[rows] == code), minlength=len(shown.users))
        every = np.bincount(moments, weights=looks, minlength=len(shown.users))
        share = partial(_share, shown.users, mine, every)
        earned = partial(_share, shown.users, (known & (taken == code)).astype(float), known.astype(float))
        found[name_of(code)] = {
            "looks": share(np.ones(shown.people)),
            "taken": earned(np.ones(shown.people)),
            "looks_over_taken": interval_of(partial(_over, share, earned), shown.people, seed)._asdict(),
        }
    return found


def _share(users: IntArray, mine: Doubles, every: Doubles, weights: Doubles) -> float:
    total = float((every * weights[users]).sum())
    return float((mine * weights[users]).sum()) / total if total > 0 else float("nan")


def _over(share: Callable[[Doubles], float], earned: Callable[[Doubles], float], weights: Doubles) -> float:
    below = earned(weights)
    return share(weights) / below if below > 0 else float("nan")


def popularity_bias(shown: Shown, popularity: FloatArray, seed: int) -> dict[str, Any]:
    """How far looks go to what is popular anyway: beside what people take, and how unequally over items.

    popular_looks, popular_taken: shares that the most popular tenth of the taken items has. gini: of the looks over
    all items, 0 when each has as many, 1 when one has all.
    """
    rows, looks, moments = shown.flat()
    known = np.sort(popularity[popularity > 0])[::-1]
    least = float(known[max(0, int(np.ceil(len(known) * POPULAR_SHARE)) - 1)]) if len(known) else np.inf
    popular = popularity >= least
    every = np.bincount(moments, weights=looks, minlength=len(shown.users))
    mine = np.bincount(moments, weights=looks * popular[rows], minlength=len(shown.users))
    taken = (shown.targets >= RESERVED) & popular[shown.targets]
    bias = partial(_bias, shown, popularity[rows], moments, popularity[shown.targets])
    return {
        "shown_over_taken": interval_of(bias, shown.people, seed)._asdict(),
        "popular_looks": interval_of(partial(_share, shown.users, mine, every), shown.people, seed)._asdict(),
        "popular_taken": float(taken.mean()) if len(taken) else 0.0,
        "gini": gini(np.bincount(rows, weights=looks, minlength=len(popularity))[RESERVED:]),
    }


def _bias(shown: Shown, of_shown: Doubles, moments: IntArray, of_taken: Doubles, weights: Doubles) -> float:
    below = weighted_mean(of_taken, weights[shown.users])
    return weighted_mean(of_shown, weights[shown.users[moments]]) / below if below > 0 else float("nan")


def gini(amounts: Doubles) -> float:
    """Gini coefficient of amounts float64 [N], none of them negative; 0 when there is nothing."""
    total, count = amounts.sum(), len(amounts)
    if total <= 0:
        return 0.0
    ranks = np.arange(1, count + 1)
    return float((2 * ranks - count - 1) @ np.sort(amounts) / (count * total))


def coverage_interval(shown: Shown, items: int, seed: int) -> dict[str, float]:
    """Share of `items` that stand in some list; drawn again, users repeat, so that the interval lies rather low."""
    rows, _, moments = shown.flat()
    owners = shown.users[moments]

    def covered(weights: Doubles) -> float:
        return len(np.unique(rows[weights[owners] > 0])) / max(items, 1)

    return interval_of(covered, shown.people, seed, resamples=200)._asdict()


def breadth_of(
    shown: Shown, vectors: FloatArray, categories: IntArray | None, past: Sequence[IntArray], seed: int
) -> dict[str, Any]:
    """How wide a list is: likeness within it, distinct categories, and likeness between the lists of two people.

    `vectors` float32 [R, D] of length 1; `categories` int64 [R] codes, or None where items have none. `past` holds the
    rows of each person's newest events: a list with fewer categories than they have closes a bubble.
    """
    figures = {"likeness_within": np.array([_likeness(vectors[one]) for one in shown.lists])}
    if categories is not None:
        figures["categories"] = np.array([len(np.unique(categories[one])) for one in shown.lists], dtype=float)
        figures["categories_of_past"] = np.array([len(np.unique(categories[one])) for one in past], dtype=float)
    found = {name: _interval(shown, values, seed) for name, values in figures.items()}
    return {**found, "overlap_between_users": overlap_between_users(shown, seed)}


def _interval(shown: Shown, values: Doubles, seed: int) -> dict[str, float]:
    means, present = by_user(values, shown.users, shown.people)
    return interval_of(partial(_mean_by_user, means, present), shown.people, seed)._asdict()


def _mean_by_user(means: Doubles, present: Doubles, weights: Doubles) -> float:
    return weighted_mean(means, present * weights)


def _likeness(vectors: FloatArray) -> float:
    """Mean cosine of all pairs; 0 for a list of fewer than two."""
    count = len(vectors)
    if count < 2:
        return 0.0
    total = float(np.square(vectors.astype(np.float64).sum(axis=0)).sum())
    return (total - count) / (count * (count - 1))


def overlap_between_users(shown: Shown, seed: int) -> dict[str, float]:
    """Mean share of a list that another user's list holds too, over drawn pairs: 1 means that all lists collapsed.

    The interval is that of the mean over pairs. nan with a single user.
    """
    draw = np.random.default_rng(seed)
    left, right = draw.integers(0, len(shown.users), (2, PAIRS * 2))
    pairs = np.flatnonzero(shown.users[left] != shown.users[right])[:PAIRS]
    shares = np.array([overlap(shown.lists[left[one]], shown.lists[right[one]]) for one in pairs])
    if len(shares) == 0:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan")}
    spread = 1.96 * float(shares.std()) / np.sqrt(len(shares))
    mean = float(shares.mean())
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def overlap(one: Sequence[Any] | IntArray, other: Sequence[Any] | IntArray) -> float:
    """Share of the longer of two lists that both hold; 1 for two empty ones."""
    longest = max(len(one), len(other))
    return len(set(one).intersection(other)) / longest if longest else 1.0

"""How well each group of people is served beside all others: accuracy, calibration, and how popular what they see is.

M moments of U users. A gap is what a group has less than all the others, as a share of what everybody has, so that it
means the same for a hard data set and an easy one.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from training.evaluation.bootstrap import by_user, interval_of, weighted_mean
from training.evaluation.metrics import Doubles, Interval


class Served(NamedTuple):
    """What M moments of U users came to."""

    users: IntArray
    """int64 [M] codes from 0 to U - 1."""
    ndcg: Doubles
    """float64 [M]"""
    popularity: Doubles
    """float64 [M]: mean popularity of the items of the list."""
    taken: Doubles
    """float64 [M]: popularity of the item that was taken."""
    observed: Doubles
    """float64 [M]: wanted events that came of a candidate."""
    expected: Doubles
    """float64 [M]: wanted events that were foretold, over all candidates."""

    @property
    def people(self) -> int:
        """U."""
        return int(self.users.max()) + 1


def groups_served(served: Served, labels: Sequence[str], judged: BoolArray, seed: int) -> dict[str, dict[str, Any]]:
    """Figures with intervals by group; calibration is read off the moments `judged`, bool [M], that did not fit it."""
    names = np.array(labels)
    return {
        str(name): _figures(served, names == name, judged, seed)
        for name in sorted(set(labels))
    }  # fmt: skip


def _figures(served: Served, member: BoolArray, judged: BoolArray, seed: int) -> dict[str, Any]:
    interval = partial(interval_of, users=served.people, seed=seed)
    held = judged & member
    return {
        "moments": int(member.sum()),
        "users": len(np.unique(served.users[member])),
        "ndcg": interval(partial(_mean, served, served.ndcg, member))._asdict(),
        "gap": interval(partial(_gap, served, member))._asdict(),
        "popularity_bias": interval(partial(_ratio, served, served.popularity, served.taken, member))._asdict(),
        "observed_over_expected": interval(partial(_ratio, served, served.observed, served.expected, held))._asdict(),
    }


def _mean(served: Served, values: Doubles, member: BoolArray, weights: Doubles) -> float:
    """By user and then over users, as accuracy is told everywhere."""
    means, present = by_user(values[member], served.users[member], served.people)
    return weighted_mean(means, present * weights)


def _gap(served: Served, member: BoolArray, weights: Doubles) -> float:
    everybody = _mean(served, served.ndcg, np.ones(len(member), dtype=bool), weights)
    if member.all() or not everybody > 0:
        return float("nan")
    return (_mean(served, served.ndcg, ~member, weights) - _mean(served, served.ndcg, member, weights)) / everybody


def _ratio(served: Served, above: Doubles, below: Doubles, member: BoolArray, weights: Doubles) -> float:
    drawn = weights[served.users[member]]
    total = float((below[member] * drawn).sum())
    return float((above[member] * drawn).sum()) / total if total > 0 else float("nan")


def widest(groups: dict[str, dict[str, Any]], figure: str, least_users: int) -> tuple[str, Interval] | None:
    """The group with the largest figure among those of enough users; None when there is no such group."""
    asked = {name: Interval(**one[figure]) for name, one in groups.items() if one["users"] >= least_users}
    known = {name: one for name, one in asked.items() if np.isfinite(one.mean)}
    return max(known.items(), key=lambda pair: pair[1].mean) if known else None

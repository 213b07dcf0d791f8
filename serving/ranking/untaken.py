"""Places of a list that are held for items nobody had taken when the model was made.

A ranker orders by what is most likely taken, and of an untaken item little is known: the honest order shows it late,
so that nobody ever takes it. The last places of a list buy the knowledge for less than any other
(benchmarks/accuracy/NOTES.md); what people look at first stays what they most likely take. K candidates.
"""

import numpy as np

from features.arrays import BoolArray, IntArray

TOP = 10
"""First places of a list that are never held."""


def held(k: int, share: float) -> int:
    """Number of places that are held in a list of `k`: `share` of them, rounded down, and none of the first ten."""
    return min(int(share * k), max(k - TOP, 0))


def with_untaken(order: IntArray, untaken: BoolArray, k: int, share: float) -> IntArray:
    """The order int64 [K] in which `held(k, share)` of the first `k` places have untaken candidates, bool [K].

    Where fewer stand there by themselves, the best ones from further down take the last places; what gives way for them
    follows at once, and all others keep their order. No larger part of the places is held than they are of the
    candidates: a handful of items that nobody takes must not stand in everybody's list (Beauty, 9 of 12,101 items
    untaken: recall@20 .1627 with two places in every list, .1654 without).
    """
    first, rest = order[:k], order[k:]
    taken = np.flatnonzero(~untaken[first])
    part = float(untaken.mean()) if len(untaken) else 0.0
    missing = max(held(k, min(share, part)) - (len(first) - len(taken)), 0)
    brought = np.flatnonzero(untaken[rest])[:missing]
    if len(brought) == 0:
        return order
    giving = taken[len(taken) - len(brought) :]
    kept, left = np.delete(first, giving), np.delete(rest, brought)
    return np.concatenate([kept, rest[brought], first[giving], left])

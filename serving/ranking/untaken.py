"""Places of a list that are held for items nobody had taken when the model was made.

A ranker orders by what is most likely taken, and of an untaken item little is known: the honest order shows it late,
so that nobody ever takes it. The last places of a list buy the knowledge for less than any other
(benchmarks/accuracy/NOTES.md). K candidates.
"""

import numpy as np

from features.arrays import BoolArray, IntArray


def with_untaken(order: IntArray, untaken: BoolArray, k: int, share: float) -> IntArray:
    """The order int64 [K] in which `share` of the first `k` places, rounded down, hold untaken candidates, bool [K].

    Where fewer stand there by themselves, the best ones from further down take the last places; what gives way for them
    follows at once, and all others keep their order.
    """
    first, rest = order[:k], order[k:]
    taken = np.flatnonzero(~untaken[first])
    missing = max(int(share * k) - (len(first) - len(taken)), 0)
    brought = np.flatnonzero(untaken[rest])[:missing]
    if len(brought) == 0:
        return order
    giving = taken[len(taken) - len(brought) :]
    kept, left = np.delete(first, giving), np.delete(rest, brought)
    return np.concatenate([kept, rest[brought], first[giving], left])

"""The strength of personalization: a linear blend of two scores of the same candidates. K candidates.

With a linear blend, whatever pair of items changes its order as the strength rises does so once and for good, so that
the overlap of the first k with the non-personal list, and Kendall's tau with it, never rise. All is counted in whole
numbers: in floating point two nearly equal items could change places back and forth.
"""

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray

STEPS = 2**10
"""Strengths are told apart to a thousandth, about."""
SCALE = 2**28
"""The common scale of both scores: the best candidate's; 1 is the worst's, 0 stands for what a list did not bring."""
MOST = 2**14
"""Candidates whose ties can be told apart; all three fit into the 52 bits of a float."""


def blended(
    personal: FloatArray, personal_brought: BoolArray, plain: FloatArray, plain_brought: BoolArray, strength: float
) -> FloatArray:
    """float64 [K] from 0 to 1, all different: equal blends stand as the non-personal list has them, then by row.

    The scores are float64 [K]; a candidate that one of the lists did not bring stands behind all that it did.
    """
    share = round(strength * STEPS)
    mine, theirs = on_scale(personal, personal_brought), on_scale(plain, plain_brought)
    behind = np.empty(len(plain), dtype=np.int64)
    behind[np.lexsort((-plain, ~plain_brought))] = np.arange(len(plain))
    found = (share * mine + (STEPS - share) * theirs) * MOST + (MOST - 1 - behind)
    return np.asarray(found / (STEPS * SCALE * MOST), dtype=np.float64)


def on_scale(scores: FloatArray, brought: BoolArray) -> IntArray:
    """int64 [K]: from the worst of what was brought, 1, to the best, `SCALE`; 0 for the rest."""
    found = np.zeros(len(scores), dtype=np.int64)
    if brought.any():
        own = scores[brought].astype(np.float64)
        span = float(own.max() - own.min())
        shares = (own - own.min()) / span if span > 0 else np.ones(len(own))
        found[brought] = 1 + np.rint(shares * (SCALE - 1)).astype(np.int64)
    return found

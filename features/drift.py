"""How far the codes of one input lie from those of before: bins, and the population stability index.

The index of an input is the sum over its bins of (p - q) ln(p / q), where p and q are the shares before and after.
Below 0.1 is called stable and above 0.25 a shift (Siddiqi, Credit Risk Scorecards, 2006). It cannot be added up over
parts of the answers; the counts by bin, of which it is made, can.
"""

import numpy as np

from features.arrays import IntArray

BINS = 10
LEAST_SHARE = 1e-4
"""Stands in for a share of 0, whose logarithm does not exist."""


def psi(before: IntArray, after: IntArray) -> float:
    """Population stability index between the codes of two samples; 0 when one of them is empty."""
    if len(before) == 0 or len(after) == 0:
        return 0.0
    size = int(max(before.max(), after.max())) + 1
    return psi_of_counts(np.bincount(before, minlength=size), np.bincount(after, minlength=size))


def psi_of_counts(before: IntArray, after: IntArray) -> float:
    """The same from counts int64 [bins] that are not all 0."""
    p, q = (np.maximum(one / one.sum(), LEAST_SHARE) for one in (before, after))
    return float(((p - q) * np.log(p / q)).sum())


def bins_of(counts: IntArray) -> IntArray:
    """int64 [codes]: bins of codes that occurred so often before; a code that did not is in the last bin.

    A bin for each code, where `BINS` are enough for all that occurred; else `BINS` of about equal mass, frequent codes
    first: an index over hundreds of creators or words would tell of the rare ones alone.
    """
    occurred = counts > 0
    if np.count_nonzero(occurred) <= BINS:
        return np.where(occurred, np.cumsum(occurred) - 1, np.count_nonzero(occurred))
    order = np.argsort(-counts, kind="stable")
    mass = np.cumsum(counts[order]) / counts.sum()
    bins = np.empty(len(counts), dtype=np.int64)
    bins[order] = np.minimum(np.ceil(mass * BINS).astype(np.int64) - 1, BINS - 1)
    return bins

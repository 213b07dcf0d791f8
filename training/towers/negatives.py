"""Negatives for the sampled softmax: half drawn evenly, half as often as items are targets.

The even half sees every item that ever was a target; the popular half is where the softmax has its mass. R item rows,
S negatives.
"""

import numpy as np
import torch
from torch import Tensor

from features.arrays import IntArray


class Negatives:
    """Draws S rows with replacement, and says how often each was to be expected."""

    def __init__(self, occurrences: IntArray, count: int) -> None:
        rows = np.flatnonzero(occurrences)
        popular = occurrences[rows] / max(1, occurrences.sum())
        share = 0.5 / max(1, len(rows)) + 0.5 * popular
        self._rows = torch.from_numpy(rows)
        self._cumulative = torch.from_numpy(np.cumsum(share / share.sum()))
        self._log_expected = torch.from_numpy(np.log(count * share / share.sum()).astype(np.float32))
        self._count = count

    def draw(self) -> tuple[Tensor, Tensor]:
        """Rows int64 [S] and the log of the expected number of draws of each, float32 [S]."""
        places = torch.rand(self._count, dtype=torch.float64)
        drawn = torch.searchsorted(self._cumulative, places).clamp(max=len(self._cumulative) - 1)
        return self._rows[drawn], self._log_expected[drawn]

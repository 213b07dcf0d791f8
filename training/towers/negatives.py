"""Negatives for the sampled softmax: half drawn evenly, half as often as items are targets.

The even half sees every item that ever was a target; the popular half is where the softmax has its mass. R item rows,
S negatives, S' of them distinct.
"""

import numpy as np
import torch
from torch import Tensor

from features.arrays import IntArray


class Negatives:
    """Draws S rows with replacement; a row that came several times stands once, and weighs as much."""

    def __init__(self, occurrences: IntArray, count: int) -> None:
        rows = np.flatnonzero(occurrences)
        popular = occurrences[rows] / max(1, occurrences.sum())
        share = 0.5 / max(1, len(rows)) + 0.5 * popular
        self._rows = torch.from_numpy(rows)
        self._cumulative = torch.from_numpy(np.cumsum(share / share.sum()))
        self._log_expected = torch.from_numpy(np.log(count * share / share.sum()).astype(np.float32))
        self._count = count

    def draw(self) -> tuple[Tensor, Tensor]:
        """Distinct rows int64 [S'], ascending, and the log of draws over expected draws of each, float32 [S']."""
        places = torch.rand(self._count, dtype=torch.float64)
        drawn = torch.searchsorted(self._cumulative, places).clamp(max=len(self._cumulative) - 1)
        distinct, times = torch.unique(drawn, return_counts=True)
        return self._rows[distinct], times.log() - self._log_expected[distinct]

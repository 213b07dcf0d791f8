"""Which windows stand side by side in a step: a new order every epoch, and little padding.

The order is a function of seed and epoch alone, so that a fit that is taken up again sees what it would have
seen.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from features.arrays import IntArray
from training.towers.windows import Windows

GRID = 1.15
"""Lengths are rounded up to powers of this before sorting: batches mix lengths a little, and pad a little."""


class BatchPlan(Sampler[IntArray]):
    """Batches of window numbers, of at most `max_windows` windows and `max_positions` padded positions.

    Every epoch has the same number of batches, because they are cut along rounded lengths alone.
    """

    def __init__(self, lengths: IntArray, max_windows: int, max_positions: int, seed: int) -> None:
        self._rounded = np.ceil(GRID ** np.ceil(np.log(lengths) / np.log(GRID))).astype(np.int64)
        self._cuts = _cuts(np.sort(self._rounded), max_windows, max_positions)
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._cuts)

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells it before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[IntArray]:
        draw = np.random.default_rng((self._seed, self._epoch))
        shuffled = draw.permutation(len(self._rounded))
        order = shuffled[np.argsort(self._rounded[shuffled], kind="stable")]
        for number in draw.permutation(len(self._cuts)):
            start, stop = self._cuts[number]
            yield order[start:stop]


def _cuts(lengths: IntArray, max_windows: int, max_positions: int) -> list[tuple[int, int]]:
    """Batches (start, stop) over ascending lengths."""
    cuts, start = [], 0
    for stop, length in enumerate(lengths.tolist()):
        count = stop - start + 1
        if count > max_windows or (count > 1 and count * length > max_positions):
            cuts.append((start, stop))
            start = stop
    return [*cuts, (start, len(lengths))] if len(lengths) else []


class WindowBatches(Dataset[dict[str, Tensor]]):
    """Batches by their window numbers, as tensors by name."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def __getitem__(self, chosen: IntArray) -> dict[str, Tensor]:
        batch = self._windows.batch(chosen)._asdict()
        tensors = {name: torch.from_numpy(value) for name, value in batch.items() if value is not None}
        return {**tensors, "numbers": torch.from_numpy(np.asarray(chosen))}

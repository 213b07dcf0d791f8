"""Which windows stand side by side in a step: a new order every epoch, and little padding.

The order is a function of seed and epoch alone, so that a fit that is taken up again sees what it would have seen.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from features.arrays import IntArray
from training.windows import Windows

LENGTH_NOISE = 0.2
"""Share by which a length is blurred before sorting: batches mix lengths a little, and pad a little."""


class BatchPlan(Sampler[IntArray]):
    """Batches of window numbers, of at most `max_windows` windows and `max_positions` padded positions."""

    def __init__(self, lengths: IntArray, max_windows: int, max_positions: int, seed: int) -> None:
        self._lengths = lengths
        self._max_windows = max_windows
        self._max_positions = max_positions
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells it before each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[IntArray]:
        draw = np.random.default_rng((self._seed, self._epoch))
        blurred = self._lengths * (1 + LENGTH_NOISE * draw.random(len(self._lengths)))
        batches = self._cut(np.argsort(blurred, kind="stable"))
        return iter([batches[index] for index in draw.permutation(len(batches))])

    def _cut(self, order: IntArray) -> list[IntArray]:
        batches, start, longest = [], 0, 0
        for stop, length in enumerate(self._lengths[order].tolist()):
            longest_then = max(longest, length)
            count = stop - start + 1
            if count > self._max_windows or (count > 1 and count * longest_then > self._max_positions):
                batches.append(order[start:stop])
                start, longest_then = stop, length
            longest = longest_then
        return [*batches, order[start:]] if len(order) else []


class WindowBatches(Dataset[dict[str, Tensor]]):
    """Batches by their window numbers, as tensors by name."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def __getitem__(self, chosen: IntArray) -> dict[str, Tensor]:
        batch = self._windows.batch(chosen)._asdict()
        tensors = {name: torch.from_numpy(value) for name, value in batch.items() if value is not None}
        return {**tensors, "numbers": torch.from_numpy(np.asarray(chosen))}

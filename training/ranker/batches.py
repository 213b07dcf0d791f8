"""The ranker's examples side by side: whole lists to judge by, shortened ones to fit on.

A list has hundreds of candidates, of which most are easily told from the one that was taken. A step of fitting takes
the target, those that the prior puts first, and a few drawn from the rest, each of which stands for its share of them:
sums over candidates keep their expectation. B examples, K candidates, F features, T history events, H heads.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from features.arrays import FloatArray, IntArray
from training.ranker.examples import Examples


class RankerBatch(NamedTuple):
    """What a step reads."""

    features: Tensor
    """float32 [B, K, F]"""
    rows: Tensor
    """int64 [B, K] item rows."""
    history_rows: Tensor
    """int64 [B, T] newest first, 0 behind the oldest."""
    targets: Tensor
    """int64 [B]: which candidate was taken."""
    heads: Tensor
    """float32 [B, H]"""
    weights: Tensor
    """float32 [B, K]: how many candidates each stands for; 0 for padding."""
    slots: Tensor
    """int64 [B, K]: slot of the list in which each was shown, from 1; 0 for what was in none."""


class ExampleNumbers(Dataset[int]):
    """Numbers only: a batch is cut out of the arrays in one go."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        return index


class WholeLists:
    """Batches of some examples with all their candidates."""

    def __init__(self, examples: Examples, keep: IntArray) -> None:
        self.examples = examples
        self.keep = keep

    def __call__(self, numbers: list[int]) -> RankerBatch:
        chosen = self.keep[numbers]
        real = self.examples.rows[chosen] > 0
        width = max(1, int(real.sum(axis=1).max()))
        places = np.broadcast_to(np.arange(width), (len(chosen), width))
        targets = self.examples.targets[chosen]
        return cut_out(self.examples, chosen, places, targets, real[:, :width].astype(np.float32))


class ShortLists(WholeLists):
    """The same examples with at most `size` candidates each, drawn again every time."""

    def __init__(self, examples: Examples, keep: IntArray, prior: FloatArray, size: int, seed: int) -> None:
        """`prior` float32 [F] weighs the features; candidates of its first half are always taken."""
        super().__init__(examples, keep)
        self._size, self._always = size, size // 2
        self._draw = np.random.default_rng(seed)
        scores = np.where(examples.rows > 0, examples.features @ prior, -np.inf)  # [N, K]
        self._order = np.argsort(-scores, axis=1, kind="stable")

    def __call__(self, numbers: list[int]) -> RankerBatch:
        chosen = self.keep[numbers]
        counts = (self.examples.rows[chosen] > 0).sum(axis=1)
        if counts.max() <= self._size:
            return super().__call__(numbers)
        order = self._order[chosen]
        place = np.arange(order.shape[1])
        at_target = order == self.examples.targets[chosen, None]
        certain = (place < self._always) | at_target  # [B, K], by place in the order
        keys = self._draw.random(order.shape) - certain
        keys[place >= counts[:, None]] = 2.0
        taken = np.argpartition(keys, self._size - 1, axis=1)[:, : self._size]
        surely = certain.sum(axis=1)
        share = np.maximum((counts - surely) / (self._size - surely), 1.0)[:, None]
        weights = np.where(np.take_along_axis(certain, taken, axis=1), 1.0, share) * (taken < counts[:, None])
        targets = np.take_along_axis(at_target, taken, axis=1).argmax(axis=1)
        places = np.take_along_axis(order, taken, axis=1)
        return cut_out(self.examples, chosen, places, targets, weights.astype(np.float32))


def cut_out(
    examples: Examples, chosen: IntArray, places: IntArray, targets: IntArray, weights: FloatArray
) -> RankerBatch:
    """Some examples with the candidates at int [B, K] places."""
    which = chosen[:, None]
    return RankerBatch(
        torch.from_numpy(examples.features[which, places]),
        torch.from_numpy(examples.rows[which, places].astype(np.int64)),
        torch.from_numpy(examples.history_rows[chosen].astype(np.int64)),
        torch.from_numpy(targets.astype(np.int64)),
        torch.from_numpy(examples.heads[chosen]),
        torch.from_numpy(weights),
        torch.from_numpy(examples.slots[which, places].astype(np.int64)),
    )

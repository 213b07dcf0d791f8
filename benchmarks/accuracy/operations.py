"""The floating-point operations that one epoch of the two towers needs, and what the machine's matrix product does.

D embedding_dim, H = hidden_ratio · D, P real positions of all windows (each window of W events has W: the profile and
all events but the last), Q = sum of W (W + 1) / 2 pairs of a position and one before it or itself, N targets, I items,
R rows, n steps of an epoch. A multiplication and its addition are two operations. Forward:

    linear layers   2 P (blocks · (6 D² + 3 H D) + D²)      attention in and out 4 D², two gates 2 D², SwiGLU 3 H D
    attention       4 Q D · blocks                          queries with keys, weights with values
    item tower      2 n R (D² or, with attributes, 5 D²)    once a step, for all rows
    softmax         2 N D I                                 over the catalogue or the negatives, in `logit_type`

and twice that again for the gradients. Padding, element-wise work and the optimiser are not needed by this count: they
are what the reached share of the matrix rate lacks.
"""

import time
from typing import NamedTuple

import numpy as np
import torch

from features.arrays import IntArray
from models.config import TowerConfig
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData
from training.towers.fit import batch_plan

FORWARD_AND_BACKWARD = 3
MATRIX = 2_048
ROUNDS = 8


class Operations(NamedTuple):
    """Of one epoch, gradients included."""

    float32: float
    logits: float
    """In the type of the softmax's logits."""

    @property
    def total(self) -> float:
        """All of them."""
        return self.float32 + self.logits

    def seconds(self, rate_float32: float, rate_logits: float) -> float:
        """Time that they would take at the given rates, in operations a second."""
        return self.float32 / rate_float32 + self.logits / rate_logits


def epoch_operations(data: TowerData, towers: TowerConfig, fit: TowerFitConfig) -> Operations:
    """What one epoch over all windows needs; of a sampled softmax, every negative drawn is a column."""
    rows = len(data.item_codes)
    columns = rows if rows <= fit.max_full_softmax else fit.negatives
    lengths = data.windows.lengths
    steps = len(batch_plan(lengths, fit, seed=0))
    targets = int((data.windows.weights > 0).sum())
    dense = user_tower(lengths, towers) + steps * item_tower(rows, towers, attributes=bool(data.item_fields))
    return Operations(FORWARD_AND_BACKWARD * dense, FORWARD_AND_BACKWARD * softmax(targets, columns, towers))


def user_tower(lengths: IntArray, towers: TowerConfig) -> float:
    """Forward over windows of the given numbers of positions, int64 [M]."""
    dim, hidden = towers.embedding_dim, round(towers.hidden_ratio * towers.embedding_dim)
    positions = float(lengths.sum())
    pairs = float((lengths * (lengths + 1) // 2).sum())
    linear = 2 * positions * (towers.blocks * (6 * dim**2 + 3 * hidden * dim) + dim**2)
    return linear + 4 * pairs * dim * towers.blocks


def item_tower(rows: int, towers: TowerConfig, *, attributes: bool) -> float:
    """Forward over a number of items."""
    return 2.0 * rows * (5 if attributes else 1) * towers.embedding_dim**2


def softmax(targets: int, columns: int, towers: TowerConfig) -> float:
    """Forward: every target's query with every column, an item or a negative."""
    return 2.0 * targets * columns * towers.embedding_dim


def matrix_rate(dtype: torch.dtype) -> float:
    """Operations a second of a large square product, the best of some rounds."""
    left, right = torch.randn(2, MATRIX, MATRIX).to(dtype)
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        left @ right
        took.append(time.perf_counter() - started)
    return 2 * MATRIX**3 / float(np.min(took))

"""From ranker logits to probabilities that count: one straight line per head in log-odds (Platt, 1999)."""

from typing import Self

import numpy as np

from features.arrays import FloatArray
from features.strict import StrictConfig


class Calibration(StrictConfig):
    """p = sigmoid(slope * logit + intercept), by head."""

    slopes: tuple[float, ...]
    """One per head, positive, so that calibration never changes an order within a head."""
    intercepts: tuple[float, ...]
    """One per head."""

    @classmethod
    def identity(cls, heads: int) -> Self:
        """Plain sigmoid."""
        return cls(slopes=(1.0,) * heads, intercepts=(0.0,) * heads)

    def probabilities(self, logits: FloatArray) -> np.ndarray:
        """float64 [K, H] from float32 [K, H]; float64, so that no two logits fall together."""
        log_odds = logits.astype(np.float64) * self.slopes + self.intercepts
        return np.asarray(np.exp(-np.logaddexp(0.0, -log_odds)))

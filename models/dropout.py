"""Dropout whose mask costs little on a CPU: one random byte decides on one activation.

Torch draws a 53-bit number per activation, which took a tenth of a step of the towers. A byte rounds the rate to a
256th, and what is kept is scaled by the rate that was really used, so that expectations stay right.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 256
_BYTES = 8


class Dropout(nn.Module):
    """Zeroes a share of the activations in training and scales up the rest; any shape, float."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._threshold = round(rate * _LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """As `torch.nn.Dropout`."""
        if not self.training or self._threshold == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        words = torch.empty(-(-x.numel() // _BYTES), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self._threshold
        scale = kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - self._threshold))  # bool times float is ten times slower
        return x * scale

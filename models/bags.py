"""Weighted sums of rows of a table, with both directions laid out before: forward by bag, backward by row.

The backward pass of `F.embedding_bag` finds out anew at every step which bags read which row, which took longer than
all else that the item tower does. Here the gradient is a bag sum as well: each row of the table gathers the gradients
of the bags that read it. N bags, M entries, V rows of the table, D its width.
"""

from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor


class Entries(NamedTuple):
    """Entries of each bag, end to end, in the form that `F.embedding_bag` reads."""

    places: Tensor
    """int64 [M]: rows that are summed."""
    starts: Tensor
    """int64 [N]: the first entry of each bag."""
    weights: Tensor
    """float32 [M]"""

    def sums(self, rows: Tensor) -> Tensor:
        """float32 [V, D] -> float32 [N, D]."""
        found: Tensor = F.embedding_bag(self.places, rows, self.starts, mode="sum", per_sample_weights=self.weights)
        return found


class Bags(NamedTuple):
    """Which rows of a table each of N bags sums, and which bags read each of its V rows."""

    forward: Entries
    backward: Entries

    @classmethod
    def of(cls, places: Tensor, weights: Tensor, rows: int) -> Self:
        """Bags of `places` int64 [N, A] and `weights` float32 [N, A] in a table of `rows` V; weight 0 is no entry."""
        real = weights > 0
        counts = real.sum(1)
        bag = torch.arange(len(places), device=places.device).repeat_interleave(counts)
        read, weight = places[real], weights[real]
        order = torch.argsort(read, stable=True)
        readers = torch.bincount(read, minlength=rows)
        return cls(
            Entries(read, counts.cumsum(0) - counts, weight),
            Entries(bag[order], readers.cumsum(0) - readers, weight[order]),
        )

    def sums(self, table: Tensor) -> Tensor:
        """The weighted sum of each bag, float32 [V, D] -> float32 [N, D]; differentiable in the table alone."""
        found: Tensor = _Sums.apply(table, self)  # type: ignore[no-untyped-call]
        return found


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Bags) -> Tensor:
        ctx.bags = bags
        return bags.forward.sums(table)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return ctx.bags.backward.sums(grad_outputs[0].contiguous()), None

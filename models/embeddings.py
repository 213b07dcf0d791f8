"""Encoded attributes as one vector: the mean over a field's codes, summed over fields.

A field has `width` codes side by side; code 0 (PAD) counts for nothing. All fields share one table, because
one gather and one product are faster than a module per field. In training the gather is a sum of `Bags`, which would
export as a loop, so that elsewhere it is written out. A codes, sum of the fields' widths; D dim.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from features.schema import FieldSize
from features.vocabulary import UNKNOWN
from models.bags import Bags


class FieldEmbeddings(nn.Module):
    """Codes int64 [..., A] to vectors float32 [..., D]; a field of nothing but PAD adds zero."""

    shifts: Tensor
    fields: Tensor

    def __init__(self, sizes: Sequence[FieldSize], dim: int) -> None:
        super().__init__()
        self.sizes = tuple(size.size for size in sizes)
        """Codes of each field, in the order of the table's rows."""
        widths = torch.tensor([size.width for size in sizes])
        starts = torch.tensor([0, *(size.size for size in sizes)]).cumsum(0)[:-1]
        self.register_buffer("shifts", starts.repeat_interleave(widths), persistent=False)  # [A]
        owners = torch.arange(len(sizes)).repeat_interleave(widths)  # [A]
        self.register_buffer("fields", (owners[:, None] == owners).float(), persistent=False)  # [A, A]
        self.table = nn.Embedding(sum(size.size for size in sizes), dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        with torch.no_grad():  # an UNKNOWN that fitting never met must say nothing
            self.table.weight[starts + UNKNOWN] = 0.0

    def forward(self, codes: Tensor | Bags) -> Tensor:
        """int64 [..., A], or the `bags` of such codes [N, A] -> float32 [..., D]."""
        if isinstance(codes, Bags):
            return codes.sums(self.table.weight)
        if self.training:
            return self.bags(codes).sums(self.table.weight).view(*codes.shape[:-1], -1)
        vectors: Tensor = self.table(codes + self.shifts)  # [..., A, D]
        return (self._weights(codes)[..., None, :] @ vectors).squeeze(-2)  # [..., D]

    def bags(self, codes: Tensor) -> Bags:
        """The real codes of int64 [..., A] alone: most of a wide field is padding, which need not be gathered."""
        flat = codes.reshape(-1, codes.shape[-1])
        return Bags.of(flat + self.shifts, self._weights(flat), len(self.table.weight))

    def _weights(self, codes: Tensor) -> Tensor:
        """float32 [..., A]: one over the real codes of the field, 0 for PAD."""
        present = (codes > 0).float()
        counts = present @ self.fields  # [..., A]: real codes in the field of each code
        return present / counts.clamp(min=1.0)

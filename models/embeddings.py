"""Encoded attributes as one vector: the mean over a field's codes, summed over fields.

A field has `width` codes side by side; code 0 (PAD) counts for nothing. All fields share one table, because
one gather and one product are faster than a module per field. In training the gather is `F.embedding_bag`, which
exports as a loop, so that elsewhere it is written out. A codes, sum of the fields' widths; D dim.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.schema import FieldSize
from features.vocabulary import UNKNOWN


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

    def forward(self, codes: Tensor) -> Tensor:
        """int64 [..., A] -> float32 [..., D]."""
        present = (codes > 0).float()  # [..., A]
        counts = present @ self.fields  # [..., A]: real codes in the field of each code
        weights = present / counts.clamp(min=1.0)
        if self.training:
            return self._bags(codes + self.shifts, weights)
        vectors: Tensor = self.table(codes + self.shifts)  # [..., A, D]
        return (weights[..., None, :] @ vectors).squeeze(-2)  # [..., D]

    def _bags(self, places: Tensor, weights: Tensor) -> Tensor:
        """The same sum over the real codes alone: most of a wide field is padding, which need not be gathered."""
        real = weights > 0
        counts = real.sum(-1).flatten()
        starts = counts.cumsum(0) - counts
        vectors: Tensor = F.embedding_bag(
            places[real], self.table.weight, starts, mode="sum", per_sample_weights=weights[real]
        )
        return vectors.view(*places.shape[:-1], -1)

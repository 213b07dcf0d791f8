"""The item tower: a trained id and attributes in, one unit vector out.

A zero id vector means "no trained id" (a new item, PAD, UNKNOWN). Such an item is placed by `newcomer`, a second
content network that is fitted afterwards to foretell from attributes where the towers put the items that they know
(after "Aligning Distillation for Cold-start Item Recommendation", ALDI, CIKM 2023, in its plainest form).
N items, D embedding_dim, A attribute codes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from features.schema import FieldSize
from models.bags import Bags
from models.config import TowerConfig
from models.dropout import Dropout
from models.embeddings import FieldEmbeddings


def unit(vectors: Tensor) -> Tensor:
    """float32, the last axis L2-normalised; a zero vector stays zero."""
    vectors = vectors.float()
    squares = vectors.square().sum(-1, keepdim=True)  # the exporter drops "+ 1e-12" as nothing, so: a clamp
    return vectors * torch.rsqrt(squares.clamp(min=1e-12))


class ItemTower(nn.Module):
    """Item vectors float32 [N, D], L2-normalised."""

    def __init__(self, id_dim: int, sizes: Sequence[FieldSize], config: TowerConfig) -> None:
        super().__init__()
        self.id_input = nn.Linear(id_dim, config.embedding_dim, bias=False)
        nn.init.eye_(self.id_input.weight)
        self.content = Content(sizes, config) if sizes else None
        self.newcomer: Content | None = None
        """Absent until it is fitted; the content of known items stands in for it."""

    def forward(self, id_vectors: Tensor, attribute_codes: Tensor | Bags | None = None) -> Tensor:
        """float32 [N, id_dim] and int64 [N, A] or bags of it (None without attributes) -> float32 [N, D]."""
        vectors: Tensor = self.id_input(id_vectors)
        if self.content is None or attribute_codes is None:
            return unit(vectors)
        vectors = vectors + self.content(attribute_codes)
        if self.newcomer is None:
            return unit(vectors)
        known = id_vectors.abs().amax(-1, keepdim=True) > 0
        return unit(torch.where(known, vectors, self.newcomer(attribute_codes)))


class Content(nn.Module):
    """Attribute codes int64 [N, A] -> float32 [N, D]: their sum, bent once."""

    def __init__(self, sizes: Sequence[FieldSize], config: TowerConfig) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.fields = FieldEmbeddings(sizes, dim)
        self.hidden = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(2 * dim, dim, bias=False)
        self.dropout = Dropout(config.dropout)

    def forward(self, attribute_codes: Tensor | Bags) -> Tensor:
        vectors: Tensor = self.fields(attribute_codes)
        bent: Tensor = self.output(self.dropout(nn.functional.silu(self.hidden(vectors))))
        return vectors + bent

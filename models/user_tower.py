"""The user tower: a causal encoder over what a person did, and what they are, at the moment of a request.

B batch, T events, S = T + 1 positions, D embedding_dim, P profile codes, C context codes. Position 0 is the
profile; position i has seen the first i events and stands at query i (see `features.histories`), whose
circumstances it knows. There is no table of users: a new person is a short history.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from features.schema import FieldSize, Schema
from features.vocabulary import RESERVED
from models.blocks import Block
from models.config import TowerConfig
from models.dropout import Dropout
from models.embeddings import FieldEmbeddings
from models.item_tower import unit


@dataclass(frozen=True)
class UserTowerInputs:
    """Sizes of what a data set gives the user tower; 0 or () where it has no such thing."""

    n_types: int
    max_events: int
    """Longest history."""
    n_values: int = 0
    n_gaps: int = 0
    profile: tuple[FieldSize, ...] = ()
    context: tuple[FieldSize, ...] = ()

    @classmethod
    def of(cls, schema: Schema, max_events: int) -> Self:
        """What the data set of a schema has, read in histories of at most `max_events`."""
        return cls(
            n_types=RESERVED + len(schema.types),
            max_events=max_events,
            n_values=schema.value_size if schema.value_edges else 0,
            n_gaps=schema.max_gap_code + 1 if schema.reads_gaps else 0,
            profile=schema.profile_sizes,
            context=schema.context_sizes,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Inputs that the exported graph takes, `lengths` aside."""
        optional = {
            "value_codes": self.n_values,
            "gap_codes": self.n_gaps,
            "profile_codes": len(self.profile),
            "context_codes": len(self.context),
        }
        return ("item_vectors", "type_codes", *(name for name, size in optional.items() if size))


class UserTower(nn.Module):
    """States float32 [B, S, D], L2-normalised: one user vector after each event, and one before the first."""

    def __init__(self, inputs: UserTowerInputs, config: TowerConfig) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.inputs = inputs
        self.types = nn.Embedding(inputs.n_types, 2 * dim)
        self.values = nn.Embedding(inputs.n_values, 2 * dim, padding_idx=0) if inputs.n_values else None
        self.stranger = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.profile = FieldEmbeddings(inputs.profile, dim) if inputs.profile else None
        self.context = FieldEmbeddings(inputs.context, dim) if inputs.context else None
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, inputs.max_events, inputs.n_gaps) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.output.weight)  # at first, one likes what is near to what one took last
        nn.init.zeros_(self.types.weight)
        if self.values is not None:
            nn.init.zeros_(self.values.weight)

    def forward(
        self,
        item_vectors: Tensor,
        type_codes: Tensor,
        value_codes: Tensor | None = None,
        gap_codes: Tensor | None = None,
        profile_codes: Tensor | None = None,
        context_codes: Tensor | None = None,
    ) -> Tensor:
        """float32 [B, T, D], int64 [B, T], [B, T], [B, S, S], [B, P], [B, S, C] -> float32 [B, S, D]."""
        events = self._events(item_vectors, type_codes, value_codes)  # [B, T, D]
        x = torch.cat([self._person(events, profile_codes), events], dim=1)  # [B, S, D]
        if self.context is not None and context_codes is not None:
            x = x + self.context(context_codes)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, gap_codes)
        return unit(self.output(self.norm(x)))

    def _events(self, item_vectors: Tensor, type_codes: Tensor, value_codes: Tensor | None) -> Tensor:
        """What was done shifts and scales the vector of what it was done with: a dislike is no weak like."""
        deed: Tensor = self.types(type_codes)
        if self.values is not None and value_codes is not None:
            deed = deed + self.values(value_codes)
        scale, shift = deed.chunk(2, dim=-1)
        vectors: Tensor = item_vectors * item_vectors.shape[-1] ** 0.5
        return vectors * (1 + scale) + shift

    def _person(self, events: Tensor, profile_codes: Tensor | None) -> Tensor:
        """The profile token, float32 [B, 1, D]."""
        token = self.stranger.expand(events.shape[0], 1, -1)
        if self.profile is not None and profile_codes is not None:
            token = token + self.profile(profile_codes)[:, None]
        return token


class ServedUserTower(nn.Module):
    """The user tower as it is exported: one vector per person, from right-padded histories.

    T is at least 1; an empty history is one event of padding with length 0.
    """

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(
        self,
        item_vectors: Tensor,
        type_codes: Tensor,
        lengths: Tensor,
        value_codes: Tensor | None = None,
        gap_codes: Tensor | None = None,
        profile_codes: Tensor | None = None,
        context_codes: Tensor | None = None,
    ) -> Tensor:
        """As `UserTower`, with lengths int64 [B] -> float32 [B, D]: the state after `lengths` events."""
        states: Tensor = self.tower(item_vectors, type_codes, value_codes, gap_codes, profile_codes, context_codes)
        last = lengths[:, None, None].expand(-1, 1, states.shape[-1])  # [B, 1, D]
        return states.gather(1, last).squeeze(1)

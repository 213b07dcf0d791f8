"""The shape of the neural models; how they are fitted stands in `training`."""

from typing import Self

from pydantic import Field, model_validator

from features.strict import StrictConfig


class TowerConfig(StrictConfig):
    """The two towers."""

    embedding_dim: int = Field(default=64, ge=4, multiple_of=4)
    """Length of item and user vectors; the index and the ranker read vectors of this length."""
    blocks: int = Field(default=2, ge=1)
    """Depth of the user tower."""
    heads: int = Field(default=1, ge=1)
    """Attention heads of each block; must divide `embedding_dim`."""
    hidden_ratio: float = Field(default=2.0, gt=0)
    """Width of a block's SwiGLU layer, in multiples of `embedding_dim`."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Share of activations dropped in fitting."""
    temperature: float = Field(default=0.05, ge=0.0125)
    """Cosines are divided by this before the softmax."""

    @model_validator(mode="after")
    def _heads_share_the_vector(self) -> Self:
        if self.embedding_dim % self.heads:
            raise ValueError(f"heads must divide embedding_dim; {self.heads} does not divide {self.embedding_dim}")
        return self


class RankerConfig(StrictConfig):
    """The multi-task ranker."""

    hidden_dim: int = Field(default=128, ge=1)
    """Width of the deep path."""
    layers: int = Field(default=2, ge=1)
    """Residual layers of the deep path."""
    attention_channels: int = Field(default=4, ge=1)
    """Ways in which a candidate's likeness to the recent history is pooled."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations dropped in fitting."""
    max_history: int = Field(default=50, ge=1)
    """Newest events that a candidate attends to."""

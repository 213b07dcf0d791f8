"""Transformer blocks that stay stable with depth: pre-norm, gated residual, SwiGLU.

"From Features to Transformers" (LiGR, arXiv:2502.03417). B batch, H heads, S positions (the profile and T
events), D embedding_dim. Position i sees positions 0 to i only; right padding therefore needs no mask of its
own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import TowerConfig
from models.dropout import Dropout


class AttentionBias(nn.Module):
    """What is added to attention logits: causality, distance in events, and the time gap.

    The profile (key 0) has a distance code of its own; distances beyond `max_events` share the last code.
    """

    def __init__(self, heads: int, max_events: int, n_gaps: int) -> None:
        super().__init__()
        self.farthest = max_events + 1
        self.distance = nn.Parameter(torch.zeros(heads, max_events + 2))
        self.gap = nn.Parameter(torch.zeros(n_gaps, heads)) if n_gaps else None

    def forward(self, length: int, gap_codes: Tensor | None) -> Tensor:
        """Bias float32 [1 or B, H, S, S] for `length` S and gap codes int64 [B, S, S]."""
        order = torch.arange(length, device=self.distance.device)
        steps = order[:, None] - order  # [S, S], query minus key
        codes = torch.where(order > 0, (steps + 1).clamp(1, self.farthest), 0)
        bias = self.distance[:, codes][None]  # [1, H, S, S]
        if self.gap is not None and gap_codes is not None:
            bias = bias + F.embedding(gap_codes, self.gap).permute(0, 3, 1, 2)
        return bias.masked_fill(steps < 0, float("-inf"))


class CausalAttention(nn.Module):
    """Multi-head self-attention with an additive bias, [B, S, D] -> [B, S, D].

    Written out: with a bias that learns, `scaled_dot_product_attention` falls back to something slower
    (measured on CPU: 450 ms against 30 at one head), and its strides break the export of a length that
    varies.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.inputs = nn.Linear(config.embedding_dim, 3 * config.embedding_dim, bias=False)
        self.output = nn.Linear(config.embedding_dim, config.embedding_dim, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        batch, length, dim = x.shape
        packed = self.inputs(x).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each [B, H, S, D / H]
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + bias.to(query.dtype)  # [B, H, S, S]
        mixed = F.softmax(logits, dim=-1) @ value  # [B, H, S, D / H]
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, dim))
        return output


class SwiGLU(nn.Module):
    """Gated feed-forward layer (arXiv:2002.05202), [B, S, D] -> [B, S, D]."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(dim, 2 * hidden, bias=False)
        self.output = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.inputs(x).chunk(2, dim=-1)
        output: Tensor = self.output(F.silu(gate) * value)
        return output


class GatedResidual(nn.Module):
    """x + sigmoid(W norm(x)) * layer(norm(x))."""

    def __init__(self, dim: int, layer: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.gate = nn.Linear(dim, dim)
        self.layer = layer
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        inner = narrow(self.norm(x))
        update: Tensor = self.dropout(torch.sigmoid(self.gate(inner)) * self.layer(inner, *context))
        return x + update


def narrow(x: Tensor) -> Tensor:
    """In the type of autocast, where it is on: converted once, and not by each layer that reads it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class Block(nn.Module):
    """Attention over the past, then a feed-forward layer, [B, S, D] -> [B, S, D]."""

    def __init__(self, config: TowerConfig, max_events: int, n_gaps: int) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.bias = AttentionBias(config.heads, max_events, n_gaps)
        self.attention = GatedResidual(dim, CausalAttention(config), config.dropout)
        self.feed_forward = GatedResidual(dim, SwiGLU(dim, round(config.hidden_ratio * dim)), config.dropout)

    def forward(self, x: Tensor, gap_codes: Tensor | None) -> Tensor:
        attended = self.attention(x, self.bias(x.shape[1], gap_codes))
        output: Tensor = self.feed_forward(attended)
        return output

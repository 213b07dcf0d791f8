"""The multi-task ranker: what every source and statistic says of a candidate, joined by learning.

B batch, K candidates, F features, D embedding_dim, T recent events (newest first), H heads (event types). The
logits are a linear blend of the standardised features plus a deep path whose last layer starts at zero, so
that the ranker begins as a blend and departs from it only where that pays.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import RankerConfig

BOUND = 8.0
"""Standard deviations beyond which a feature is clamped: a stray input must not decide alone."""


class Standardise(nn.Module):
    """(x - mean) / scale, clamped; mean and scale come from training data, never from a batch."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def set(self, mean: Tensor, scale: Tensor) -> None:
        """Fix both from training data, float32 [F]; a constant feature (scale 0) is only centred."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.scale).clamp(-BOUND, BOUND)


class TargetAttention(nn.Module):
    """What of the recent history speaks for a candidate: how like its events are, pooled by attention.

    It sees cosines only, never coordinates: a later fit of the towers turns the embedding space, and the
    ranker, which stays, must not notice. Each channel p pools the cosines s with weights softmax(sharpness_p
    * s + recency_p): from the plain mean to the maximum, from the newest event to all.
    """

    def __init__(self, config: RankerConfig) -> None:
        super().__init__()
        channels = config.attention_channels
        self.sharpness = nn.Parameter(torch.linspace(0.0, 10.0, channels))
        self.recency = nn.Parameter(torch.zeros(config.max_history, channels))

    def forward(self, candidate_vectors: Tensor, history_vectors: Tensor, history_mask: Tensor) -> Tensor:
        """[B, K, D], [B, T, D], [B, T] -> [B, K, channels]; zero where the history is empty."""
        cosines = candidate_vectors @ history_vectors.transpose(1, 2)  # [B, K, T]
        recency = self.recency[: history_vectors.shape[1]].T  # [P, T]
        hidden = (history_mask - 1)[:, None] * 1e4  # [B, 1, T]
        pooled = [
            (F.softmax(cosines * sharpness + (weights + hidden), dim=-1) * cosines).sum(-1)
            for sharpness, weights in zip(self.sharpness.unbind(), recency.unbind(), strict=True)
        ]
        return torch.stack(pooled, dim=-1) * history_mask.amax(1)[:, None, None]


class _ResidualLayer(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.inner = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        update: Tensor = self.dropout(F.silu(self.inner(self.norm(x))))
        return x + update


class PositionTower(nn.Module):
    """What it adds to a logit that an item stood in a slot of a list: learned beside the ranker, never served.

    A shallow tower beside the main one ("Recommending what video to watch next", Zhao et al., RecSys 2019). Added to
    logits it is the product of "PAL: a position-bias aware learning framework" (Guo et al., RecSys 2019): an item is
    taken when it is looked at, which depends on its slot, and liked, which does not. In service the slot is the
    constant 0, to which this adds nothing, so that the exported graph has no such input.
    """

    def __init__(self, slots: int, n_heads: int) -> None:
        super().__init__()
        self.examined = nn.Parameter(torch.zeros(slots))
        """[S]: log of how readily a slot is looked at, up to a constant."""
        self.shown = nn.Parameter(torch.zeros(n_heads))
        """[H]: that an item was shown at all, beside candidates of which nobody knows."""

    def forward(self, slots: Tensor) -> Tensor:
        """int64 [B, K] slots from 1, 0 for what was in none -> float32 [B, K, H]; later slots count as the last."""
        from_list = (slots > 0).float()[..., None]
        places = (slots - 1).clamp(0, len(self.examined) - 1)
        return (self.examined[places][..., None] + self.shown) * from_list


class Ranker(nn.Module):
    """Logits float32 [B, K, H]: per candidate and event type, before calibration."""

    def __init__(self, n_features: int, n_heads: int, config: RankerConfig) -> None:
        super().__init__()
        self.standardise = Standardise(n_features)
        self.linear = nn.Linear(n_features, n_heads)
        self.attention = TargetAttention(config)
        self.inputs = nn.Linear(n_features + config.attention_channels, config.hidden_dim)
        self.layers = nn.ModuleList(_ResidualLayer(config.hidden_dim, config.dropout) for _ in range(config.layers))
        self.output = nn.Linear(config.hidden_dim, n_heads, bias=False)
        for start_at_zero in (self.linear.weight, self.linear.bias, self.output.weight):
            nn.init.zeros_(start_at_zero)

    def start_from(self, weights: Tensor, base_rates: Tensor) -> None:
        """Begin as a blend of the standardised features, float32 [F], at the log-odds of base rates float32 [H]."""
        with torch.no_grad():
            self.linear.weight.copy_(weights.expand_as(self.linear.weight))
            self.linear.bias.copy_(torch.logit(base_rates))

    def forward(
        self,
        features: Tensor,
        candidate_vectors: Tensor,
        history_vectors: Tensor,
        history_mask: Tensor,
    ) -> Tensor:
        """[B, K, F], [B, K, D], [B, T, D], [B, T] (1 real, 0 padding), all float32 -> [B, K, H]."""
        known = self.standardise(features)
        attended = self.attention(candidate_vectors, history_vectors, history_mask)
        deep = self.inputs(torch.cat([known, attended], dim=-1))
        for layer in self.layers:
            deep = layer(deep)
        logits: Tensor = self.linear(known) + self.output(F.silu(deep))
        return logits

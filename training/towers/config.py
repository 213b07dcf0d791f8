"""How the two towers are fitted: the section `tower_fit` of a configuration."""

from typing import Literal

from pydantic import Field

from features.strict import StrictConfig


class TowerFitConfig(StrictConfig):
    """How the two towers are fitted."""

    accelerator: Literal["cpu", "cuda"] = "cpu"
    """Where: `cuda` takes GPUs, and a PyTorch that was built for it."""
    devices: int = Field(default=1, ge=1)
    """Processes a node, each with a processor's cores or a GPU of its own; more than one in all is started by
    `torchrun`, and fits as one would: docs/scaling.md."""
    num_nodes: int = Field(default=1, ge=1)
    """Machines that fit together."""
    strategy: Literal["auto", "ddp"] = "auto"
    """How several processes fit: `ddp` averages their gradients; `auto` does so when there are several."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Step size of AdamW, reached after the warm-up."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps over which the learning rate grows from zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Gradients longer than this are shortened."""
    batch_windows: int = Field(default=4_096, ge=1)
    """Most histories in one step."""
    batch_positions: int = Field(default=6_400, ge=1)
    """Most positions in one step, padding included; bounds memory."""
    average_epochs: float = Field(default=1.0, gt=0)
    """Time constant of the running average of weights, in epochs."""
    max_epochs: int = Field(default=60, ge=1)
    """Fitting ends here at the latest."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better NDCG@10 on the validation people, after which fitting ends."""
    max_minutes: float = Field(default=20.0, gt=0)
    """Fitting ends after the epoch that exceeds this, unless the number of epochs is given."""
    max_full_softmax: int = Field(default=8_000, ge=0)
    """Largest catalogue over which the softmax runs in full; above it, negatives are sampled."""
    negatives: int = Field(default=4_096, ge=1)
    """Sampled negatives, shared by a step: half drawn evenly, half by popularity."""

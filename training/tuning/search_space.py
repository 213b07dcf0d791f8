"""What `tailorbird tune` may change, and within which bounds; all else stays as the configuration has it.

The value that the configuration has already is always part of the space, also where it lies outside these bounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from features.strict import StrictConfig
from training.config import TrainingConfig

Changes: TypeAlias = Mapping[str, Any]
"""Values by dotted key, such as `towers.dropout`."""


class Choice(NamedTuple):
    """One of some values."""

    key: str
    values: tuple[float, ...]

    def distribution(self, given: float) -> BaseDistribution:
        """For the sampler; holds the given value too."""
        return CategoricalDistribution(self.values if given in self.values else (*self.values, given))


class Range(NamedTuple):
    """Any number between two; drawn by its logarithm where steps are factors."""

    key: str
    low: float
    high: float
    log: bool = False

    def distribution(self, given: float) -> BaseDistribution:
        """For the sampler; reaches the given value too."""
        return FloatDistribution(min(self.low, given), max(self.high, given), log=self.log)


Space: TypeAlias = Sequence[Choice | Range]

TOWER_SPACE: Space = (
    Choice("pipeline.max_events", (50, 100, 200)),
    Choice("towers.embedding_dim", (32, 64, 128)),
    Choice("towers.blocks", (1, 2, 3, 4)),
    Choice("towers.heads", (1, 2, 4)),
    Choice("towers.hidden_ratio", (1.0, 2.0, 4.0)),
    Range("towers.dropout", 0.0, 0.5),
    Range("towers.temperature", 0.025, 0.15, log=True),
    Range("tower_fit.learning_rate", 5e-4, 1e-2, log=True),
    Choice("tower_fit.weight_decay", (0.0, 0.001, 0.01, 0.1)),
    Choice("tower_fit.average_epochs", (0.25, 0.5, 1.0, 2.0, 4.0)),
)
"""Shape of the towers and their fit."""

RANKER_SPACE: Space = (
    Choice("ranker.hidden_dim", (64, 128, 256)),
    Choice("ranker.layers", (1, 2, 3)),
    Range("ranker.dropout", 0.0, 0.4),
    Range("ranker_fit.learning_rate", 5e-4, 1e-2, log=True),
    Choice("ranker_fit.weight_decay", (0.0, 1e-4, 1e-3, 1e-2, 1e-1)),
    Choice("ranker_fit.epochs", (4, 8, 16)),
    Choice("ranker_fit.binary_weight", (0.01, 0.03, 0.1, 0.3, 1.0)),
)
"""Shape of the ranker and its fit."""

DIGITS = 3
"""Significant digits of a drawn number, so that the file stays legible and says what was really tried."""


def given(space: Space, config: TrainingConfig) -> dict[str, Any]:
    """What the configuration has for each key of the space."""
    return {one.key: _value(config, one.key) for one in space}


def distributions(space: Space, config: TrainingConfig) -> dict[str, BaseDistribution]:
    """What a sampler draws from, by key."""
    return {one.key: one.distribution(_value(config, one.key)) for one in space}


def rounded(drawn: Changes) -> dict[str, Any]:
    """The drawn values as a configuration holds them."""
    return {key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for key, value in drawn.items()}


def changed(config: TrainingConfig, changes: Changes) -> TrainingConfig:
    """The configuration with other values. Raises ConfigError when two of them cannot go together."""
    sections: dict[str, StrictConfig] = {}
    for name in {key.partition(".")[0] for key in changes}:
        before: StrictConfig = getattr(config, name)
        values = {key.partition(".")[2]: value for key, value in changes.items() if key.startswith(f"{name}.")}
        sections[name] = type(before).parse({**before.model_dump(), **values}, name)
    return config.model_copy(update=sections)


def _value(config: TrainingConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)

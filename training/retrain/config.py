"""The sections `retrain` and `schedule`: how a model is kept up to date, and when."""

from typing import Literal

from pydantic import Field

from features.strict import StrictConfig


class RetrainConfig(StrictConfig):
    """How a model is kept up to date."""

    keep: int = Field(default=3, ge=1)
    """Newest runs whose folders and bundles are kept; the live bundle and the one before it always are."""
    newest_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Most of the events, the newest, on which candidate and live bundle are judged."""
    full_every: int = Field(default=5, ge=1)
    """Every so many runs is a full training, the others go on from the live bundle; 1: each is a full one."""
    warm_epochs: int = Field(default=3, ge=1)
    """Epochs of the towers when they go on from the weights of a bundle."""
    marker: str | None = None
    """Name of a file, such as `_SUCCESS`, without which no file of the same folder is read."""


class ScheduleConfig(StrictConfig):
    """When `tailorbird schedule` calls `tailorbird retrain`."""

    cron: str = "0 3 * * *"
    """Minute, hour, day of month, month, weekday, as in a crontab: Sunday is 0 or 7."""
    timezone: str = "UTC"
    """Time zone of the expression, such as `Europe/Warsaw`."""
    jitter_seconds: int = Field(default=0, ge=0)
    """Each call comes up to so much later, so that many machines do not begin together."""
    misfire: Literal["run", "skip"] = "run"
    """What becomes of a call whose moment passed while nothing ran: it is made once, late, or not at all."""

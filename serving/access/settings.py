"""Who is answered: the `serving.access` section of a configuration file."""

from typing import Self

from pydantic import Field, model_validator

from features.strict import StrictConfig
from serving.access.tokens import MOST_SECONDS


class AccessConfig(StrictConfig):
    """Without any of this, whoever has a key is answered, and until there is a key nobody but the machine itself."""

    open: bool = False
    """Whether everybody is answered without a key, on every address; needs `why`."""
    why: str | None = Field(default=None, min_length=10)
    """What guards the service instead, such as `only our gateway reaches it`; written to the log at every start."""
    open_metrics: bool = False
    """Whether /metrics is answered without a key to others than this machine, for a Prometheus that sends none."""
    token_seconds: int = Field(default=900, ge=1, le=MOST_SECONDS)
    """How long a person's token lives when its maker does not say, in seconds."""
    token_rate: float = Field(default=10.0, gt=0)
    """Requests per second of one person by token that each worker answers."""
    token_burst: int = Field(default=50, ge=1)
    """Requests of one person by token that may come at once."""

    @model_validator(mode="after")
    def _open_for_a_reason(self) -> Self:
        if self.open != (self.why is not None):
            raise ValueError("`open: true` and `why` belong together: say what guards the service instead of keys")
        return self

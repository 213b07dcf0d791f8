"""What can be chosen of a simulated world; everything else follows from the seed."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from features.moments import DAY, to_moment
from features.strict import StrictConfig


def _current_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def _usual_users(data: dict[str, Any]) -> int:
    """About 50 events a person."""
    return max(50, int(data["events"]) // 50)


def _usual_items(data: dict[str, Any]) -> int:
    """Grows with the square root of the events: 158 items for 1,000 events, 15,811 for 10 million."""
    return max(60, int(5 * int(data["events"]) ** 0.5))


class SimulatorSettings(StrictConfig):
    """Size, span and kind of a simulated world. Equal settings give equal tables, byte for byte."""

    events: int = Field(default=100_000, ge=1_000, le=10_000_000)
    """About how many events to write, impressions among them."""
    users: int = Field(default_factory=_usual_users, ge=10)
    """People; one for every 50 events, if not given."""
    items: int = Field(default_factory=_usual_items, ge=60)
    """Things to buy and to watch; grows with the square root of the events, if not given."""
    days: int = Field(default=60, ge=7, le=730)
    """Length of the recorded window, in days."""
    end: AwareDatetime = Field(default_factory=_current_hour)
    """The moment at which the window ends; the current hour, if not given."""
    seed: int = Field(default=1, ge=0)
    """Everything random follows from it."""
    world: Literal["orderly", "null"] = "orderly"
    """orderly: taste, order, season and hour; null: each item is redrawn from its day's popularity alone."""
    shuffled: float = Field(default=0.0, ge=0, le=1)
    """Share of the window, from its start, in which items are dealt anew among the events of a day and type: a log that
    is spoiled, to see that a model of it is refused."""
    anonymous_share: float = Field(default=0.15, ge=0, le=1)
    """Share of people who come as anonymous visitors and log in later."""

    @property
    def end_moment(self) -> int:
        """End of the window, in milliseconds since the epoch, UTC; no event lies at or after it."""
        return to_moment(self.end)

    @property
    def start_moment(self) -> int:
        """Start of the window, in milliseconds since the epoch, UTC."""
        return self.end_moment - self.days * DAY

"""When the next training takes the place of the present models: what an erasure tells of what it cannot reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.cron import next_moment
from features.moments import to_text

UNSCHEDULED = "the next training; none is scheduled"
FULL_EVERY = 5
"""One in so many trainings is a full one, unless `retrain.full_every` says so."""


@dataclass(frozen=True)
class Retraining:
    """The schedule of a configuration file."""

    cron: str
    timezone: str
    full_every: int

    def words(self, now: int) -> str:
        """When it comes next after a moment, and when at the latest a model is made that starts from nothing."""
        try:
            moments = [now]
            while len(moments) <= self.full_every:
                following = next_moment(self.cron, self.timezone, moments[-1])
                if following is None:
                    return UNSCHEDULED
                moments.append(following)
        except ValueError:
            return f"the next training, by the schedule {self.cron} ({self.timezone})"
        return f"{to_text(moments[1])}, when the next training is due; a full one by {to_text(moments[-1])}"


def retraining_of(content: Mapping[str, Any]) -> Retraining | None:
    """The schedule of a configuration file, read as plain data: its sections are checked by who follows them."""
    schedule = content.get("schedule")
    if not isinstance(schedule, dict):
        return None
    full_every = (content.get("retrain") or {}).get("full_every", FULL_EVERY)
    return Retraining(str(schedule.get("cron", "0 3 * * *")), str(schedule.get("timezone", "UTC")), int(full_every))


def words_of(retraining: Retraining | None, now: int) -> str:
    """The same in words, also without a schedule."""
    return UNSCHEDULED if retraining is None else retraining.words(now)

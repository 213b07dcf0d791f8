"""Time that runs out: until when an answer must be there, and which stages still fit in.

Moments are those of `time.perf_counter`, in seconds.
"""

from collections.abc import Callable
from time import perf_counter

from serving.answers import Stage

NEVER = float("inf")
"""The deadline of a request that may take as long as it takes."""
RESERVE = 2.0
"""A stage starts while at least this many times its usual duration are left: one in a hundred takes longer."""
NEWEST_WEIGHT = 0.05
"""Weight of the newest duration in the usual one, so about the last forty count."""


class UsualTimes:
    """How long each stage takes of late, in seconds; a stage that never ran is believed to take no time.

    Threads may write at once: a lost update changes an average a little, which is cheaper than a lock.
    """

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}

    def learn(self, stage: Stage, milliseconds: float) -> None:
        """One more duration of a stage, as a pipeline's timings have it."""
        seconds = milliseconds / 1000
        usual = self._seconds.get(stage, seconds)
        self._seconds[stage] = usual + NEWEST_WEIGHT * (seconds - usual)

    def of(self, stage: Stage) -> float:
        """The usual duration."""
        return self._seconds.get(stage, 0.0)

    def relax(self, stage: Stage) -> None:
        """Believe a little less that a stage takes long: what is never run again would never be learned anew."""
        self._seconds[stage] = self.of(stage) * (1 - NEWEST_WEIGHT)


class Deadline:
    """A `Budget` that ends at a moment."""

    def __init__(self, until: float, usual: UsualTimes, clock: Callable[[], float] = perf_counter) -> None:
        self._until = until
        self._usual = usual
        self._clock = clock

    def allows(self, stage: Stage) -> bool:
        left = self._until - self._clock()
        allowed = RESERVE * self._usual.of(stage) <= left
        if not allowed and left > 0:
            self._usual.relax(stage)
        return allowed

"""What a service does for people in the background: it finishes erasures, and removes what was kept long enough.

Each is done by one worker of a machine at a time, in small transactions, so that whoever writes waits for no long one.
"""

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from features.consent import STORING, ConsentRules, decide
from features.errors import ConfigError
from features.moments import DAY
from features.statements import Statement
from serving.desk.permission import CLOCK_SKEW
from serving.lifecycle.lock import only_one
from serving.person.erasing import finish
from serving.person.reach import Reach
from serving.person.settings import RetentionConfig
from serving.state.erasures import RETRY_DAYS
from serving.state.protocol import State

FINISH_SECONDS = 1.0
"""Between two looks for erasures that are yet to be finished."""
STOP_SECONDS = 5.0
"""Longest wait at a stop for one that is being finished: a server that writes its files anew may take minutes."""
EXPIRE_SECONDS = 600.0
"""Between two looks for what is too old."""
ROWS_AT_ONCE = 500
"""Rows of one transaction (about 10 ms)."""
PEOPLE_AT_ONCE = 200
"""People whose consent is asked in one transaction."""
KINDS: tuple[Literal["served", "dead_letters", "statements"], ...] = ("served", "dead_letters", "statements")
"""What has a limit of its own beside events."""
BREATH_SECONDS = 0.02
"""Between two transactions, for those who write."""


class Finisher:
    """Finishes erasures: their rows are gone, the files beside them are yet to be looked through."""

    def __init__(self, state: State, reach: Reach, lock: Path, clock: Callable[[], int]) -> None:
        """`lock` is shared by all workers of a machine; `clock` gives the present moment."""
        self._state = state
        self._reach = reach
        self._lock = lock
        self._clock = clock

    def look(self) -> None:
        """Finish what is unfinished, oldest first, unless another worker is at it."""
        if not self._state.unfinished():
            return
        with only_one(self._lock) as ours:
            for erasure in self._state.unfinished() if ours else ():
                finish(self._state, erasure, self._reach, self._clock())


class Keeper:
    """Removes what was kept long enough."""

    def __init__(
        self, state: State, retention: RetentionConfig, rules: ConsentRules, lock: Path, clock: Callable[[], int]
    ) -> None:
        """As of `Finisher`; `rules` say what silence allows."""
        self._state = state
        self._retention = retention
        self._rules = rules
        self._lock = lock
        self._clock = clock

    def look(self) -> None:
        """Remove it, unless another worker is at it."""
        with only_one(self._lock) as ours:
            if ours:
                expire(self._state, self._retention, self._rules, self._clock())


def expire(state: State, retention: RetentionConfig, rules: ConsentRules, now: int) -> dict[str, int]:
    """Remove what is older than the retention allows, part by part; rows by what they are. Raises `StateError`."""
    counts = {}
    for kind, days in retention.events.items():
        counts[kind] = _all_of(partial(_expire_events, state, kind, now - round(days * DAY)))
    if retention.purposes:
        counts["of no purpose"] = _expire_unneeded(state, retention, rules, now)
    for what in KINDS:
        days = getattr(retention, what)
        if days is not None:
            counts[what] = _all_of(partial(state.expire, what, now - round(days * DAY)))
    marked = now - RETRY_DAYS * DAY
    counts["marks of erased events"] = _all_of(lambda limit: state.expire("erased_events", marked, limit))
    return counts


def check_retention(retention: RetentionConfig, types: Collection[str], *, timed: bool) -> None:
    """Raises `ConfigError` for a type that there is not, and for days where events have but an order."""
    for name in retention.events:
        if name not in types:
            raise ConfigError(
                "there is no such event type",
                field=f"serving.retention.events.{name}",
                hint=f"The types are: {', '.join(types)}.",
            )
    if (retention.events or retention.purposes) and not timed:
        raise ConfigError(
            "events without a time have no age",
            field=f"serving.retention.{'events' if retention.events else 'purposes'}",
            hint="Name the column of the time under `dataset.order.time`, or leave this out.",
        )


def _expire_unneeded(state: State, retention: RetentionConfig, rules: ConsentRules, now: int) -> int:
    """Remove the events whose people no longer allow a purpose for which they would be kept; how many."""

    def kept_from(statements: Sequence[Statement]) -> int | None:
        allowed = [one for one in STORING if decide(one, statements, rules, now + CLOCK_SKEW).allowed]
        days = retention.days_by_purpose(allowed)
        return None if days is None else now - round(days * DAY)

    before, total = now - round(min(retention.purposes.values()) * DAY), 0
    place: int | None = 0
    while place is not None:
        count, place = state.expire_unneeded(before, kept_from, place, PEOPLE_AT_ONCE)
        total += count
        time.sleep(BREATH_SECONDS if place is not None else 0)
    return total


def _expire_events(state: State, kind: str, before: int, limit: int) -> int:
    return state.expire("events", before, limit, [kind])


def _all_of(some: Callable[[int], int]) -> int:
    total = count = some(ROWS_AT_ONCE)
    while count == ROWS_AT_ONCE:
        time.sleep(BREATH_SECONDS)
        count = some(ROWS_AT_ONCE)
        total += count
    return total

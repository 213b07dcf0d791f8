"""`tailorbird effect`: of the items that people saw, how many they then acted on, by bundle and placement.

Read from both logs of a store, so that each item of an answer counts once whichever worker took the events. Items that
one person saw are not independent: the interval is that of a ratio over people (Cochran, Sampling Techniques, 1977,
section 2.11). People who do not allow measuring are in neither log.
"""

from collections import defaultdict
from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

from features.dataset import DatasetConfig
from serving.events.effect_watch import led_to
from serving.state.event_log import EventLog
from serving.state.protocol import StoredEvent
from serving.state.served_log import LoggedAnswer, ServedLog, ServedRow

AT_ONCE = 10_000
"""Rows of a log that are read at a time."""
NORMAL_95 = 1.96


class Effect(NamedTuple):
    """What became of the answers of one bundle in one placement."""

    bundle: str
    placement: str
    people: int
    answers: int
    """Of which at least one item was seen."""
    seen: int
    """Items of answers; all of them where the data set has no exposures."""
    acted: int
    """Of the seen ones, those that something positive came of within the window."""
    rate: float
    low: float
    high: float
    """Of a 95 % interval over people."""


class _Answered:
    """An answer, and which of its items were seen and acted on."""

    def __init__(self, row: ServedRow, *, seen: bool) -> None:
        self.row = row
        self.seen = {one.item_id for one in row.items} if seen else set[str]()
        self.acted = set[str]()

    @property
    def person(self) -> tuple[str, str]:
        row = self.row
        known = row.user_id or row.anonymous_id
        return ("request", row.request_id) if known is None else ("person", known)

    def is_of(self, event: StoredEvent) -> bool:
        row = self.row
        return row.user_id in (None, event.user_id) and (
            row.user_id is not None or row.anonymous_id in (None, event.anonymous_id)
        )


def effects_of(served: ServedLog, log: EventLog, dataset: DatasetConfig, window: int, since: int = 0) -> list[Effect]:
    """Sorted by bundle and placement, of answers given from `since` on (ms since the epoch); `window` in ms.

    Events that a store let go of after an export are missing. Raises StateError.
    """
    exposures = set(dataset.exposures)
    answers = {
        one.row.request_id: _Answered(one.row, seen=not exposures) for one in _rows(served) if one.row.moment >= since
    }
    for event in _events(log):
        answer = answers.get(event.request_id or "")
        if (
            answer is None
            or not answer.is_of(event)
            or not led_to(answer.row, event, window if dataset.timed else None)
        ):
            continue
        if event.type in exposures:
            answer.seen.add(event.item_id)
        elif (kind := dataset.types.get(event.type)) is not None and kind.sign == "positive":
            answer.acted.add(event.item_id)
    groups: defaultdict[tuple[str, str], list[_Answered]] = defaultdict(list)
    for answer in answers.values():
        if answer.seen:
            groups[answer.row.bundle, answer.row.placement].append(answer)
    return [_effect(*name, group) for name, group in sorted(groups.items())]


def _rows(served: ServedLog) -> Iterator[LoggedAnswer]:
    number = 0
    while some := served.after(number, AT_ONCE):
        yield from some
        number = some[-1].number


def _events(log: EventLog) -> Iterator[StoredEvent]:
    number = 0
    while some := log.after(number, AT_ONCE):
        yield from (one.event for one in some)
        number = some[-1].number


def _effect(bundle: str, placement: str, answers: list[_Answered]) -> Effect:
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    acted: defaultdict[tuple[str, str], int] = defaultdict(int)
    for one in answers:
        seen[one.person] += len(one.seen)
        acted[one.person] += len(one.acted & one.seen)
    total, people = sum(seen.values()), len(seen)
    rate = sum(acted.values()) / total
    spread = sum((acted[one] - rate * seen[one]) ** 2 for one in seen)
    error = sqrt(spread * people / max(people - 1, 1)) / total
    return Effect(
        bundle=bundle,
        placement=placement,
        people=people,
        answers=len(answers),
        seen=total,
        acted=sum(acted.values()),
        rate=rate,
        low=max(rate - NORMAL_95 * error, 0.0),
        high=min(rate + NORMAL_95 * error, 1.0),
    )


def as_lines(effects: list[Effect]) -> list[str]:
    """A table for the terminal, each bundle beside the one of most answers in the same placement."""
    lines = [f"{'bundle':<20}{'placement':<12}{'people':>8}{'seen':>10}{'acted':>8}   share acted on, 95 % interval"]
    for one in effects:
        figures = f"{one.people:>8,}{one.seen:>10,}{one.acted:>8,}   {one.rate:.4f} [{one.low:.4f}, {one.high:.4f}]"
        most = max((other for other in effects if other.placement == one.placement), key=lambda other: other.answers)
        beside = "" if one is most else f"   minus {most.bundle}: {_difference(one, most)}"
        lines.append(f"{one.bundle:<20}{one.placement:<12}{figures}{beside}")
    return lines


def _difference(one: Effect, other: Effect) -> str:
    gain = one.rate - other.rate
    half = sqrt(((one.high - one.low) / 2) ** 2 + ((other.high - other.low) / 2) ** 2)
    return f"{gain:+.4f} [{gain - half:+.4f}, {gain + half:+.4f}]"

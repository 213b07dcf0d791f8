"""What Prometheus is told of the effect of lists: which of their items people saw, and what they then did with them.

An event that names an answer and one of its items, soon enough after it, is its effect. The answer is looked up in the
log of what was served, so that whoever does not allow measuring, and is not in it, is not counted. A worker counts the
events that it stored itself, in a thread beside the requests: over all workers and replicas each event counts once.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from features.dataset import Sign
from features.errors import StateError
from serving.bundle import Bundle
from serving.desk.permission import CLOCK_SKEW
from serving.events.served import PLACEMENTS
from serving.metrics import BUNDLES, EFFECTS, EFFECTS_LOST
from serving.state.protocol import StoredEvent
from serving.state.served_log import ServedLog, ServedRow

LOOK_SECONDS = 1.0
"""Between two looks at what was stored; longer than an answer takes into the log."""
MOST_WAITING = 10_000
"""Events that wait for a look; further ones are not counted."""
REMEMBERED = 2_000
"""Answers of which is remembered what was counted."""


class _Asked(NamedTuple):
    request_id: str
    user_id: str | None
    anonymous_id: str | None


class _Answer(NamedTuple):
    row: ServedRow
    items: frozenset[str]
    counted: set[tuple[str, str]]
    """Item and type of event."""


def tell_effects(bundles: Iterable[Bundle]) -> None:
    """Begin the series of bundles at 0: of one that begins at 1 nobody sees an increase."""
    for bundle in bundles:
        for name, kind in bundle.schema.dataset.types.items():
            for placement in PLACEMENTS:
                EFFECTS.labels(kind.sign, name, bundle.name, placement)


def led_to(row: ServedRow, event: StoredEvent, window: int | None) -> bool:
    """Whether an event that names an answer is its effect: at most `window` ms later, however long if None.

    It may be dated before the answer by as much as a clock may differ from ours.
    """
    soon = window is None or -CLOCK_SKEW <= event.moment - row.moment <= window
    return soon and any(one.item_id == event.item_id for one in row.items)


class EffectWatch:
    """Counts the effects of one worker's events; safe to call from several threads."""

    def __init__(self, log: ServedLog, window: int | None) -> None:
        """`window` in ms; None where events have no time."""
        self._log = log
        self._window = window
        self._lock = threading.Lock()
        self._new: list[tuple[StoredEvent, Sign]] = []
        self._old: list[tuple[StoredEvent, Sign]] = []
        self._answers: OrderedDict[_Asked, _Answer] = OrderedDict()

    def add(self, events: Sequence[tuple[StoredEvent, Sign]]) -> None:
        """Take note of events that were just stored, with what their types mean."""
        told = [one for one in events if one[0].request_id is not None]
        with self._lock:
            room = MOST_WAITING - len(self._new)
            self._new += told[:room]
        if len(told) > room:
            EFFECTS_LOST.inc(len(told) - room)

    def look(self) -> None:
        """Count what waited at the last look already, so that its answers are in the log. Raises StateError."""
        with self._lock:
            due, self._old, self._new = self._old, self._new, []
        for place, (event, sign) in enumerate(due):
            try:
                self._count(event, sign)
            except StateError:
                with self._lock:
                    self._old = due[place:] + self._old[: MOST_WAITING - len(due) + place]
                raise

    def _count(self, event: StoredEvent, sign: Sign) -> None:
        answer = self._answer(_Asked(str(event.request_id), event.user_id, event.anonymous_id))
        once = (event.item_id, event.type)
        if answer is None or once in answer.counted or event.item_id not in answer.items:
            return
        if led_to(answer.row, event, self._window):
            answer.counted.add(once)
            EFFECTS.labels(sign, event.type, BUNDLES.label(answer.row.bundle), answer.row.placement).inc()

    def _answer(self, asked: _Asked) -> _Answer | None:
        if asked in self._answers:
            self._answers.move_to_end(asked)
            return self._answers[asked]
        row = self._log.find(*asked)
        if row is None:
            return None
        known = _Answer(row, frozenset(one.item_id for one in row.items), set())
        self._answers[asked] = known
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return known

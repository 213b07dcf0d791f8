"""Answers on their way into the log: made while a request is answered, written by a thread beside it.

A worker that is killed loses the answers of the last tenth of a second, which were never promised; events are.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from serving.answers import Answer
from serving.api.requests import PersonalRequest, RankRequest, RecommendRequest
from serving.metrics import SERVED_LOST
from serving.state.protocol import Admit, StoredEvent
from serving.state.served_log import ServedItem, ServedLog, ServedRow

FLUSH_SECONDS = 0.1
"""Between two groups of answers that are written."""
PLACEMENTS = ("default", "rank")
"""Of what is logged: lists say theirs, and orders of given items have their own."""
MOST_WAITING = 20_000
"""Answers that wait for a store that does not answer; further ones are lost, and counted."""


class Served:
    """The log of what was served, as one worker fills it; safe to call from several threads."""

    def __init__(self, log: ServedLog, admit: Callable[[], Admit]) -> None:
        """`admit` gives the test, as of now, of whether answers to a person may be logged."""
        self._log = log
        self._admit = admit
        self._lock = threading.Lock()
        self._waiting: dict[str, ServedRow] = {}

    def add(self, row: ServedRow) -> None:
        """Take an answer to be written soon."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                SERVED_LOST.inc()
            else:
                self._waiting[row.request_id] = row

    def flush(self) -> None:
        """Write what waits, in one transaction. Raises StateError, and then keeps it for the next time."""
        with self._lock:
            rows = list(self._waiting.values())
        if not rows:
            return
        self._log.add(rows, self._admit())
        with self._lock:
            for row in rows:
                del self._waiting[row.request_id]

    def find(self, request_id: str, user_id: str | None, anonymous_id: str | None) -> ServedRow | None:
        """The answer to a request of this person; it may still wait here, or in another worker for a moment."""
        with self._lock:
            row = self._waiting.get(request_id)
        if row is not None and (row.user_id, row.anonymous_id) == (user_id, anonymous_id):
            return row
        found = self._log.find(request_id, user_id, anonymous_id)
        if found is None:
            time.sleep(1.5 * FLUSH_SECONDS)
            found = self._log.find(request_id, user_id, anonymous_id)
        return found


def served_row(
    request: PersonalRequest,
    answer: Answer,
    told: Sequence[StoredEvent],
    given: Sequence[str] = (),
    without: Sequence[str] = (),
    **known: Any,
) -> ServedRow:
    """The row of an answer; `told` are the events of the request that counted, `given` the items of earlier pages.

    `without` names what the answer had to do without; `known` are the fields of the row that the request and the answer
    do not hold.
    """
    query: dict[str, Any] = {
        "filter": request.filter,
        "context": request.context.values(),
        "time": request.context.time,
        "events": [[one.event_id, one.item_id, one.type, one.moment, one.value, one.context] for one in told],
        "without": list(without),
    }
    match request:
        case RecommendRequest():
            query |= {"k": request.k, "exclude": list(request.exclude), "given": list(given), "after": request.after}
        case RankRequest():
            query["item_ids"] = list(request.item_ids)
    return ServedRow(
        user_id=request.user_id,
        anonymous_id=request.anonymous_id,
        placement=getattr(request, "placement", PLACEMENTS[-1]),
        items=tuple(_item(one.item_id, one.score, one.sources) for one in answer.items),
        policy="blend" if "ranker" in answer.degraded else "ranker",
        query=query,
        **known,
    )


def _item(item_id: str, score: float, sources: Sequence[str]) -> ServedItem:
    return ServedItem(item_id, score, sources[0] if sources else None)


def told_events(row: ServedRow) -> list[StoredEvent]:
    """The events that the request of a row told and that counted."""
    return events_told(row.query)


def events_told(query: Mapping[str, Any]) -> list[StoredEvent]:
    """The same of the question of a row."""
    return [
        StoredEvent(event_id, item_id, kind, moment, value=value, context=context)
        for event_id, item_id, kind, moment, value, context in query["events"]
    ]

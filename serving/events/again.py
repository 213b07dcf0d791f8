"""An answer computed again from its row and the log of events: equal to the bit, by the same bundle and items.

Events are those that the answer had seen; consent and preferences those that had been declared at its moment. What was
erased or expired since is missing; what a visitor did is there once the visitor is linked, although the answer of then
knew nothing of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from features.consent import ConsentRules
from features.dataset import DatasetConfig
from features.person import RECENT_EVENTS, Events, Person, Taken
from serving.answers import Query
from serving.desk.inline import with_events
from serving.desk.permission import permitted
from serving.events.served import told_events
from serving.filters import FilterReader
from serving.state.event_log import EventLog
from serving.state.protocol import State, StoredEvent
from serving.state.served_log import ServedRow

AT_ONCE = 10_000


def person_then(
    row: ServedRow,
    state: State,
    log: EventLog,
    dataset: DatasetConfig,
    rules: ConsentRules,
    newest: int = RECENT_EVENTS,
) -> Person:
    """The record that an answer was made from; `newest` events of a person are read, none of them an exposure.

    `rules` are those of the service of then. Who did not allow personal lists then was a stranger with what they hid.
    Raises `StateError`. Reads the whole log up to the answer.
    """
    exposures = dataset.exposures

    def read() -> Person:
        past = [one for one in _past(row, log) if one.type not in exposures]
        now = state.person(row.user_id, row.anonymous_id, newest=1, without=exposures)
        return replace(now, events=_events(past[-newest:]), taken=_taken(past), seen=row.seen)

    stored = Person() if "state" in row.query.get("without", ()) else _allowed(row, state, dataset, rules, read)
    return replace(with_events(stored, told_events(row)), context=row.query["context"])


def _allowed(
    row: ServedRow, state: State, dataset: DatasetConfig, rules: ConsentRules, read: Callable[[], Person]
) -> Person:
    """What the answer might know of the person, by all that had been declared when it was given."""
    nobody = row.user_id is None and row.anonymous_id is None
    said = [] if nobody else state.statements(row.user_id, row.anonymous_id)
    declared = [one for one in said if one.moment <= row.moment]
    return permitted(declared, rules, row.moment, dataset.users.demographics, read).person


def query_then(row: ServedRow, filters: FilterReader) -> Query:
    """What an answer to /v1/recommend was asked, earlier pages included."""
    text = row.query["filter"]
    return Query(
        k=len(row.query["given"]) + row.query["k"],
        exclude=row.query["exclude"],
        filter=None if text is None else filters.read(text),
    )


def _past(row: ServedRow, log: EventLog) -> list[StoredEvent]:
    """The person's events that the answer had seen, oldest first, of equal moments in the order of the log."""
    found, number, last = [], 0, row.seen or 0
    while number < last and (some := log.after(number, AT_ONCE)):
        number = some[-1].number
        found += [one.event for one in some if one.number <= last and _is_theirs(one.event, row)]
    return sorted(found, key=lambda event: event.moment)


def _is_theirs(event: StoredEvent, row: ServedRow) -> bool:
    if row.user_id is not None and event.user_id == row.user_id:
        return True
    return event.user_id is None and event.anonymous_id is not None and event.anonymous_id == row.anonymous_id


def _events(past: Sequence[StoredEvent]) -> Events:
    contexts = [event.context or {} for event in past]
    return Events(
        item_ids=[event.item_id for event in past],
        types=[event.type for event in past],
        moments=np.array([event.moment for event in past], dtype=np.int64),
        values=np.array([event.value for event in past], dtype=np.float32),
        contexts=contexts if any(contexts) else None,
    )


def _taken(past: Sequence[StoredEvent]) -> Taken:
    newest = {(event.item_id, event.type): event.moment for event in past}
    item_ids, types = zip(*newest, strict=True) if newest else ((), ())
    return Taken(item_ids, types, np.array(list(newest.values()), dtype=np.int64))

"""Tables of a company's data into the store, in bulk; a second time nothing is doubled."""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from features.consent import OPT_IN, describable, storable
from features.encoders import is_missing
from features.errors import DataError
from features.event_details import Detail
from features.events import AttributeTable, EventTable, Tables
from features.moments import SECOND
from features.statements import Statement
from features.tombstones import without_erased
from serving.state.protocol import Loaded, State, StoredEvent, UserAttributes, UserStatement


def load_tables_into_state(state: State, tables: Tables, demographics: Collection[str] = ()) -> Loaded:
    """Store what the people of the tables agreed to, and the events and attributes of those who agreed.

    A withdrawal that the state has already holds against the tables, and nothing comes in that an erasure forbids to
    come back. Attributes named in `demographics` are those of people who share them. Raises DataError where nothing
    says what they agreed to.
    """
    if tables.consent is None:
        raise DataError(
            f"nothing says what these people agreed to: none of {len(tables.events)} events may be stored",
            field="dataset.consent",
            hint='Name a table of their answers, or write {assume: granted, basis: "why that is lawful"}.',
        )
    tables, now = without_erased(tables, state.tombstones()), round(time.time() * SECOND)

    def admit(statements: Sequence[Statement]) -> bool:
        return storable(statements, OPT_IN, now)

    state.load_statements(_statements(tables))
    for kind in (False, True):
        state.set_attributes(
            (
                one._replace(values=values)
                for one in _attributes(tables.users)
                if (values := {name: value for name, value in one.values.items() if (name in demographics) == kind})
            ),
            partial(describable, rules=OPT_IN, moment=now, demographic=kind),
        )
    return state.load(_events(tables.events), admit=admit)


def _statements(tables: Tables) -> Iterator[UserStatement]:
    """What is assumed of everybody in the tables, and what they said."""
    assert tables.consent is not None
    users = {*tables.events.users.tolist(), *tables.users.ids.tolist(), *tables.consent.declared}
    for user in sorted(users):
        yield from (UserStatement(user, one) for one in tables.consent.of(user))


def _events(table: EventTable) -> Iterator[StoredEvent]:
    """The rows of the table in its order, so that equal moments of a user keep theirs."""
    users, items = table.users.tolist(), table.items.tolist()
    columns = zip(
        table.user_codes.tolist(),
        table.item_codes.tolist(),
        table.type_codes.tolist(),
        table.moments.tolist(),
        table.values.tolist(),
        table.event_ids.tolist(),
        strict=True,
    )
    for row, (user, item, kind, moment, value, event_id) in enumerate(columns):
        yield StoredEvent(
            event_id=event_id,
            item_id=items[item],
            type=table.types[kind],
            moment=moment,
            user_id=users[user],
            value=None if np.isnan(value) else value,
            context={name: plain(column[row]) for name, column in table.contexts.items()} or None,
            request_id=None if table.requests is None else table.requests[row],
            details=_details(table, row) or None,
        )


def _details(table: EventTable, row: int) -> dict[Detail, float]:
    told = {name: float(column[row]) for name, column in table.details.items()}
    return {name: value for name, value in told.items() if not np.isnan(value)}


def _attributes(table: AttributeTable) -> Iterator[UserAttributes]:
    for row, user_id in enumerate(table.ids):
        yield UserAttributes(user_id, {name: plain(column[row]) for name, column in table.columns.items()})
    for name, changes in table.changes.items():
        for code, moment, value in zip(changes.entity_codes, changes.moments, changes.values, strict=True):
            yield UserAttributes(table.ids[code], {name: plain(value)}, int(moment))


def plain(value: Any) -> Any:
    """A table's value as data that JSON can hold; every encoder reads it as it reads the value itself."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if is_missing(value):
        return None
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[ms]").item()
    if isinstance(value, np.generic):
        return value.item()
    return value.isoformat() if isinstance(value, date) else value

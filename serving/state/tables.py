"""Tables of a company's data into the store, in bulk; a second time nothing is doubled."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np

from features.encoders import is_missing
from features.events import AttributeTable, EventTable, Tables
from serving.state.protocol import Loaded, State, StoredEvent, UserAttributes


def load_tables_into_state(state: State, tables: Tables) -> Loaded:
    """Store every event and every user attribute of the tables."""
    state.set_attributes(_attributes(tables.users))
    return state.load(_events(tables.events))


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
        )


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

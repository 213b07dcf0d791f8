"""The one place where tables are filtered by consent: what training, batch and `state load` may read of them."""

import time
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from features.arrays import BoolArray
from features.consent import Purpose
from features.dataset import DatasetConfig
from features.errors import DataError
from features.events import AttributeTable, EventTable, Strings, Tables
from features.moments import SECOND
from features.tables import fingerprint


def consenting(dataset: DatasetConfig, tables: Tables, purposes: Collection[str], moment: int | None = None) -> Tables:
    """The tables as if nobody else were in them than who allows one of the purposes, now unless a moment is given.

    Who does not share demographics has none. Codes and fingerprint are those of tables that never held the others.
    Raises DataError where nothing says what these people allow.
    """
    moment = round(time.time() * SECOND) if moment is None else moment
    if tables.consent is None:
        raise DataError(
            f"nothing says who agrees to {' or '.join(purposes)}: all {len(tables.events)} events of "
            f"{len(tables.events.users)} users would be lost",
            field="dataset.consent",
            hint='Name a table of their answers, or write {assume: granted, basis: "why that is lawful"}.',
        )
    events = _events_of(tables.events, tables.consent.allowing(tables.events.users, purposes, moment))
    users = _users_of(tables.users, tables.consent.allowing(tables.users.ids, purposes, moment))
    users = _masked(dataset, users, tables.consent.allowing(users.ids, [Purpose.SHARE_DEMOGRAPHICS], moment))
    if events is tables.events and users is tables.users:
        return tables
    return replace(tables, events=events, users=users, fingerprint=fingerprint(events, users, tables.items))


def trainable(dataset: DatasetConfig, tables: Tables, moment: int | None = None) -> Tables:
    """What a training may read: nobody is in it who does not allow it. Raises DataError rather than give nothing."""
    part = consenting(dataset, tables, [Purpose.TRAIN], moment)
    if len(part.events) == 0:
        raise DataError(
            f"none of {len(tables.events.users)} users agrees to train: all {len(tables.events)} events would be lost",
            field="dataset.consent",
            hint="Look at the table of consent, and at the purposes of `assume`.",
        )
    return part


def _events_of(events: EventTable, keep: BoolArray) -> EventTable:
    """The events of some users, as if there had never been others: users and items get new codes."""
    if keep.all():
        return events
    return events.where(keep[events.user_codes]).compact()


def _users_of(users: AttributeTable, keep: BoolArray) -> AttributeTable:
    if keep.all():
        return users
    codes = np.cumsum(keep) - 1
    changes = {name: one.where(keep[one.entity_codes]) for name, one in users.changes.items()}
    return replace(
        users,
        ids=users.ids[keep],
        columns={name: column[keep] for name, column in users.columns.items()},
        changes={name: replace(one, entity_codes=codes[one.entity_codes]) for name, one in changes.items()},
    )


def _masked(dataset: DatasetConfig, users: AttributeTable, shared: BoolArray) -> AttributeTable:
    """The users without the demographics of those who do not share them."""
    names = dataset.users.demographics
    if shared.all() or not names:
        return users
    columns = {name: _blank(one, ~shared) if name in names else one for name, one in users.columns.items()}
    changes = {
        name: one.where(shared[one.entity_codes]) if name in names else one for name, one in users.changes.items()
    }
    return replace(users, columns=columns, changes=changes)


def _blank(column: Strings, rows: BoolArray) -> Strings:
    column = column.copy()
    column[rows] = None
    return column

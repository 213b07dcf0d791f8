"""What is asked of the SQLite store: whom an id stands for, and the record of a person. Changes nothing."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from features.person import Change, Events, Person, Taken
from features.statements import Statement
from serving.state.sqlite_schema import STATIC

EVENT_COLUMNS = ("event_id", "item_id", "type", "moment", "value", "context", "request_id", "details")
OUTSIDE_IDS = """
(SELECT id FROM ids WHERE person = {table}.person AND anonymous = 0) AS user_id,
(SELECT min(id) FROM ids WHERE person = {table}.person AND anonymous = 1) AS anonymous_id
"""
"""Columns that say whose a row of `table` is by now."""
_EVENTS = "SELECT item_id, type, moment, value, context FROM events"
_LETTERS = "SELECT content, moment, field, message FROM dead_letters"
_SERVED = "SELECT request_id, moment, answer FROM served"
_NEWEST = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
_NEWEST_FIRST = "ORDER BY moment DESC, number DESC LIMIT ?"


def person_of(connection: sqlite3.Connection, *, anonymous: bool, outside_id: str) -> int | None:
    """The person that an outside id stands for; None for a stranger."""
    row = connection.execute(
        "SELECT person FROM ids WHERE anonymous = ? AND id = ?", (anonymous, outside_id)
    ).fetchone()
    return None if row is None else int(row[0])


def is_user(connection: sqlite3.Connection, person: int) -> bool:
    """Whether a person has a user id, so is no mere visitor."""
    row = connection.execute("SELECT 1 FROM ids WHERE person = ? AND anonymous = 0 LIMIT 1", (person,)).fetchone()
    return row is not None


def user_of(connection: sqlite3.Connection, anonymous_id: str) -> str | None:
    """The first user id of the person that an anonymous id stands for."""
    row = connection.execute(
        "SELECT min(id) FROM ids WHERE anonymous = 0 "
        "AND person = (SELECT person FROM ids WHERE anonymous = 1 AND id = ?)",
        (anonymous_id,),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def persons_of(connection: sqlite3.Connection, user_id: str | None, anonymous_id: str | None) -> list[int]:
    """The one or two persons that a pair of ids stands for, the user first; none for strangers.

    Beside a user id, an anonymous id counts only while it is a mere visitor: it may be another user by now.
    """
    user = None if user_id is None else person_of(connection, anonymous=False, outside_id=user_id)
    visitor = None if anonymous_id is None else person_of(connection, anonymous=True, outside_id=anonymous_id)
    if visitor == user or (visitor is not None and user_id is not None and is_user(connection, visitor)):
        visitor = None
    return [person for person in (user, visitor) if person is not None]


def read_person(
    connection: sqlite3.Connection, persons: Sequence[int], newest: int, without: Collection[str]
) -> Person:
    """The record of one person, or of a user and a visitor as one; a visitor has no attributes."""
    attributes, changes = read_attributes(connection, persons)
    return Person(
        events=_events(connection, persons, newest, without),
        taken=_taken(connection, persons, without),
        attributes=attributes,
        changes=changes,
        seen=newest_number(connection),
    )


def newest_number(connection: sqlite3.Connection) -> int:
    """A number that no event exceeds; 0 in a store that never held one."""
    return int(connection.execute(_NEWEST).fetchone()[0])


def read_attributes(
    connection: sqlite3.Connection, persons: Sequence[int]
) -> tuple[dict[str, Any], dict[str, list[Change]]]:
    """Attributes that never change and those that do, by name."""
    static: dict[str, Any] = {}
    changes: dict[str, list[Change]] = {}
    select = "SELECT name, moment, value FROM attributes"
    for name, moment, value in _of_persons(connection, select, persons, "ORDER BY name, moment"):
        if moment == STATIC:
            static[name] = json.loads(value)
        else:
            changes.setdefault(name, []).append(Change(moment, json.loads(value)))
    return static, changes


def read_statements(connection: sqlite3.Connection, persons: Sequence[int]) -> list[Statement]:
    """What the persons declared, oldest first, of equal moments in the order of arrival."""
    select = "SELECT kind, key, value, moment, source FROM statements"
    rows = _of_persons(connection, select, persons, "ORDER BY moment, number")
    return [Statement(kind, key, json.loads(value), moment, source) for kind, key, value, moment, source in rows]


def read_export(connection: sqlite3.Connection, persons: Sequence[int]) -> dict[str, Any]:
    """Everything in the store about the persons, as plain data."""
    static, changes = read_attributes(connection, persons)
    ids = _of_persons(connection, "SELECT anonymous, id FROM ids", persons, "ORDER BY id")
    events = _of_persons(
        connection,
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM events",
        persons,
        "ORDER BY moment, number",
    )
    records = [dict(zip(EVENT_COLUMNS, event, strict=True)) for event in events]
    return {
        "user_ids": [one for anonymous, one in ids if not anonymous],
        "anonymous_ids": [one for anonymous, one in ids if anonymous],
        "attributes": static,
        "changes": {name: [change._asdict() for change in each] for name, each in changes.items()},
        "statements": [one._asdict() for one in read_statements(connection, persons)],
        "events": [
            {**record, "context": _plain(record["context"]), "details": _plain(record["details"])} for record in records
        ],
        "taken": [
            {"item_id": item_id, "type": kind, "moment": moment}
            for item_id, kind, moment in _taken_rows(connection, persons, ())
        ],
        "dead_letters": [
            {"content": json.loads(content), "moment": moment, "field": field, "message": message}
            for content, moment, field, message in _of_persons(connection, _LETTERS, persons, "ORDER BY number")
        ],
        "served": [
            {"request_id": request_id, "moment": moment, **json.loads(answer)}
            for request_id, moment, answer in _of_persons(connection, _SERVED, persons, "ORDER BY number")
        ],
    }


def _events(connection: sqlite3.Connection, persons: Sequence[int], newest: int, without: Collection[str]) -> Events:
    among = f"{_but(without)} {_NEWEST_FIRST}"
    rows = _of_persons(connection, _EVENTS, persons, among, (*without, newest))[::-1]
    if not rows:
        return Events()
    item_ids, types, moments, values, contexts = zip(*rows, strict=True)
    circumstances = [_plain(context) or {} for context in contexts] if any(contexts) else None
    return Events(
        item_ids=item_ids,
        types=types,
        moments=np.array(moments, dtype=np.int64),
        values=np.array(values, dtype=np.float32),
        contexts=circumstances,
    )


def _taken(connection: sqlite3.Connection, persons: Sequence[int], without: Collection[str]) -> Taken:
    rows = _taken_rows(connection, persons, without)
    if not rows:
        return Taken()
    item_ids, types, moments = zip(*rows, strict=True)
    return Taken(item_ids, types, np.array(moments, dtype=np.int64))


def _taken_rows(connection: sqlite3.Connection, persons: Sequence[int], without: Collection[str]) -> list[Any]:
    """(item_id, type, newest moment); one person has each pair once, and grouping would cost as much again."""
    if len(persons) == 1:
        return _of_persons(connection, "SELECT item_id, type, moment FROM taken", persons, _but(without), [*without])
    select = "SELECT item_id, type, max(moment) FROM taken"
    return _of_persons(connection, select, persons, f"{_but(without)} GROUP BY item_id, type", [*without])


def _but(types: Collection[str]) -> str:
    return f"AND type NOT IN ({_marks(types)})"


def _of_persons(
    connection: sqlite3.Connection,
    select: str,
    persons: Sequence[int],
    then: str,
    values: Sequence[Any] = (),
) -> list[Any]:
    """Rows of the persons; one person is asked with `=`, for which the index already has the order."""
    test = "= ?" if len(persons) == 1 else f"IN ({_marks(persons)})"
    return connection.execute(f"{select} WHERE person {test} {then}", (*persons, *values)).fetchall()


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _plain(text: str | None) -> Any:
    return None if text is None else json.loads(text)

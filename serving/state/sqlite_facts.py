"""Single facts in the SQLite store: read with their ids, removed one by one, or for being too old."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from features.moments import DAY
from features.tombstones import mark_of
from serving.state.erasures import RETRY_DAYS
from serving.state.facts import Expiring, KeptFrom
from serving.state.protocol import StoredEvent
from serving.state.sqlite_connections import Transactions
from serving.state.sqlite_erasures import erasure_key
from serving.state.sqlite_reads import persons_of, read_statements
from serving.state.sqlite_schema import PERSONAL

_HISTORY = """
SELECT event_id, item_id, type, moment, value, context, request_id, details FROM events
WHERE person IN ({persons}) ORDER BY moment DESC, number DESC LIMIT ?
"""
_OLD_EVENTS = "SELECT number FROM events WHERE moment < ? AND type IN ({types}) ORDER BY moment LIMIT ?"
_REPLACED = """
SELECT number FROM statements AS old WHERE moment < ? AND EXISTS (
    SELECT 1 FROM statements AS later WHERE later.person = old.person AND later.kind = old.kind AND later.key = old.key
    AND later.moment < ? AND (later.moment, later.number) > (old.moment, old.number)
) LIMIT ?
"""
_GONE = "RETURNING person, item_id, type"
_PEOPLE = "SELECT DISTINCT person FROM ids WHERE person > ? ORDER BY person LIMIT ?"
_HAS_OLD = "SELECT 1 FROM events WHERE person = ? AND moment < ? LIMIT 1"
_DROP_OLD = f"DELETE FROM events WHERE person = ? AND moment < ? {_GONE}"
_TAKE_AGAIN = """
INSERT INTO taken SELECT person, item_id, type, max(moment) FROM events
WHERE person = ? AND item_id = ? AND type = ? GROUP BY person, item_id, type
"""


def _told(context: str | None, asked: str | None, details: str | None) -> tuple[Any, str | None, Any]:
    """The last fields of a stored event."""
    return context and json.loads(context), asked, details and json.loads(details)


class SqliteFacts:
    """The part of the store that removes single facts; it stands on the store's connections."""

    _connections: Transactions

    def history(self, user_id: str | None, anonymous_id: str | None = None, *, newest: int) -> list[StoredEvent]:
        with self._connections.reading() as connection:
            persons = persons_of(connection, user_id, anonymous_id)
            rows = connection.execute(_HISTORY.format(persons=_marks(persons)), (*persons, newest)).fetchall()
        anonymous_id = anonymous_id if user_id is None else None
        return [
            StoredEvent(event_id, item_id, kind, moment, user_id, anonymous_id, value, *_told(context, asked, details))
            for event_id, item_id, kind, moment, value, context, asked, details in reversed(rows)
        ]

    def remove_event(self, user_id: str | None, anonymous_id: str | None, event_id: str, *, moment: int) -> bool:
        with self._connections.writing() as connection:
            persons = persons_of(connection, user_id, anonymous_id)
            delete = f"DELETE FROM events WHERE event_id = ? AND person IN ({_marks(persons)}) {_GONE}"
            gone = connection.execute(delete, (event_id, *persons)).fetchall()
            _take_again(connection, gone)
            if gone:
                mark = mark_of(erasure_key(connection), "event", event_id)
                connection.execute("INSERT OR REPLACE INTO erased_events VALUES (?, ?)", (mark, moment))
        return bool(gone)

    def forget_events(
        self, user_id: str | None, anonymous_id: str | None, keep: Collection[str], *, moment: int
    ) -> int:
        with self._connections.writing() as connection:
            persons = persons_of(connection, user_id, anonymous_id)
            among = f"person IN ({_marks(persons)}) AND type NOT IN ({_marks(keep)})"
            values = (*persons, *keep)
            since = moment - RETRY_DAYS * DAY
            newest = connection.execute(f"SELECT event_id FROM events WHERE {among} AND moment > ?", (*values, since))
            key = erasure_key(connection)
            marks = [(mark_of(key, "event", event_id), moment) for (event_id,) in newest]
            connection.executemany("INSERT OR REPLACE INTO erased_events VALUES (?, ?)", marks)
            connection.execute(f"DELETE FROM taken WHERE {among}", values)
            return connection.execute(f"DELETE FROM events WHERE {among}", values).rowcount

    def remove_attributes(self, user_id: str, names: Collection[str]) -> int:
        with self._connections.writing() as connection:
            persons = persons_of(connection, user_id, None)
            delete = f"DELETE FROM attributes WHERE person IN ({_marks(persons)}) AND name IN ({_marks(names)})"
            return connection.execute(delete, (*persons, *names)).rowcount

    def expire(self, kind: Expiring, before: int, limit: int, types: Collection[str] = ()) -> int:
        with self._connections.writing() as connection:
            match kind:
                case "events":
                    return _expire_events(connection, before, limit, types)
                case "statements":
                    delete = f"DELETE FROM statements WHERE number IN ({_REPLACED})"
                    return connection.execute(delete, (before, before, limit)).rowcount
                case "erased_events":
                    old = "SELECT mark FROM erased_events WHERE moment < ? LIMIT ?"
                    return connection.execute(
                        f"DELETE FROM erased_events WHERE mark IN ({old})", (before, limit)
                    ).rowcount
                case "served" | "dead_letters":
                    return _expire_rows(connection, kind, before, limit)

    def expire_unneeded(self, before: int, kept_from: KeptFrom, place: int, people: int) -> tuple[int, int | None]:
        with self._connections.writing() as connection:
            found = [person for (person,) in connection.execute(_PEOPLE, (place, people))]
            aged = [person for person in found if connection.execute(_HAS_OLD, (person, before)).fetchone()]
            count = 0
            for person in aged:
                limit = kept_from(read_statements(connection, [person]))
                if limit is not None:
                    gone = connection.execute(_DROP_OLD, (person, min(limit, before))).fetchall()
                    _take_again(connection, gone)
                    _forget_nobody(connection, person)
                    count += len(gone)
        return count, found[-1] if len(found) == people else None


def _expire_events(connection: sqlite3.Connection, before: int, limit: int, types: Collection[str]) -> int:
    old = _OLD_EVENTS.format(types=_marks(types))
    delete = f"DELETE FROM events WHERE number IN ({old}) {_GONE}"
    gone = connection.execute(delete, (before, *types, limit)).fetchall()
    _take_again(connection, gone)
    for person in {person for person, _, _ in gone}:
        _forget_nobody(connection, person)
    return len(gone)


def _expire_rows(connection: sqlite3.Connection, table: str, before: int, limit: int) -> int:
    old = f"SELECT number FROM {table} WHERE moment < ? ORDER BY moment LIMIT ?"
    delete = f"DELETE FROM {table} WHERE number IN ({old}) RETURNING person"
    gone = connection.execute(delete, (before, limit)).fetchall()
    for person in {person for (person,) in gone if person is not None}:
        _forget_nobody(connection, person)
    return len(gone)


def _take_again(connection: sqlite3.Connection, gone: Iterable[tuple[int, str, str]]) -> None:
    """What was taken follows from the events that are left."""
    for person, item_id, kind in set(gone):
        connection.execute("DELETE FROM taken WHERE person = ? AND item_id = ? AND type = ?", (person, item_id, kind))
        connection.execute(_TAKE_AGAIN, (person, item_id, kind))


def _forget_nobody(connection: sqlite3.Connection, person: int) -> None:
    """Remove the ids of a person of whom nothing is held any more."""
    others = [table for table in PERSONAL if table not in ("ids", "audit_keys")]
    held = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE person = :person" for table in others)
    connection.execute(f"DELETE FROM ids WHERE person = :person AND NOT EXISTS ({held})", {"person": person})


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))

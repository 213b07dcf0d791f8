"""The embedded store: one SQLite file, many readers beside one writer, shared by all workers of a machine.

Every write is one transaction: the event, what it takes, and the mark by which a repeat is known are there
together or not at all. Nothing is kept in the process, so that each read sees what any process committed.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any

from features.consent import joined, stricter
from features.errors import RequestError, StateError
from features.person import RECENT_EVENTS, Person
from features.statements import Statement
from serving.state.audit_log import Deed
from serving.state.protocol import (
    Admit,
    Loaded,
    Outcome,
    StoredEvent,
    UserAttributes,
    UserStatement,
    everyone,
)
from serving.state.sqlite_audit_log import NotingConnections, SqliteAuditLog
from serving.state.sqlite_connections import Connections, Transactions
from serving.state.sqlite_dead_letters import SqliteDeadLetters
from serving.state.sqlite_persons import Persons
from serving.state.sqlite_reads import (
    is_user,
    person_of,
    persons_of,
    read_export,
    read_person,
    read_statements,
)
from serving.state.sqlite_schema import OWNED, PERSONAL, STATIC, create_tables
from serving.state.sqlite_served_log import SqliteServedLog

_INSERT_EVENT = """
INSERT INTO events (person, event_id, item_id, type, moment, value, context, request_id, details)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING
"""
_SET_ATTRIBUTE = "INSERT OR REPLACE INTO attributes VALUES (?, ?, ?, ?)"
# No GROUP BY: SQLite would scan the whole log by its index of persons instead of the new rows by number.
_TAKE_NEW = """
INSERT INTO taken SELECT person, item_id, type, moment FROM events WHERE number > ?
ON CONFLICT DO UPDATE SET moment = max(moment, excluded.moment)
"""
_TAKE_OVER = """
INSERT INTO taken SELECT ?, item_id, type, moment FROM taken WHERE person = ?
ON CONFLICT DO UPDATE SET moment = max(moment, excluded.moment)
"""
_INSERT_STATEMENT = "INSERT INTO statements (person, kind, key, moment, value, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
_INSERT_NEW_STATEMENT = """
INSERT INTO statements (person, kind, key, moment, value, source) SELECT ?1, ?2, ?3, ?4, ?5, ?6
WHERE NOT EXISTS (SELECT 1 FROM statements WHERE person = ?1 AND moment = ?4
    AND kind = ?2 AND key = ?3 AND value = ?5 AND source = ?6)
"""
_LOSSES = "nothing: each write is on disk before it is acknowledged"
IDS_AT_ONCE = 10_000
"""Ids that are read in one transaction: nobody who lists millions holds up the store's housekeeping."""


class SqliteState:
    """A `State` in one file, or in memory when there is no path."""

    def __init__(self, path: Path | None, patience: float = 10.0, read_patience: float | None = None) -> None:
        """Open or make the store, with the patience that `Connections` has, in seconds."""
        self._losses = _LOSSES if path else "everything: the store is in memory"
        self._connections: Transactions = Connections(path, patience, read_patience)
        with self._connections.alone() as connection:
            create_tables(connection)

    def audited(self, deed: Deed) -> "SqliteState":
        other = copy(self)
        other._connections = NotingConnections(self._connections, deed)
        return other

    @property
    def audit_log(self) -> SqliteAuditLog:
        return SqliteAuditLog(self._connections)

    @property
    def dead_letters(self) -> SqliteDeadLetters:
        return SqliteDeadLetters(self._connections)

    @property
    def served_log(self) -> SqliteServedLog:
        return SqliteServedLog(self._connections)

    def append(self, events: Sequence[StoredEvent], admit: Admit = everyone) -> list[Outcome]:
        with self._connections.writing() as connection:
            before = _newest_number(connection)
            outcomes: list[Outcome] = []
            for person, event in _admitted(connection, events, admit):
                new = person is not None and connection.execute(_INSERT_EVENT, _row(person, event)).rowcount
                outcomes.append("not_stored" if person is None else "stored" if new else "duplicate")
            connection.execute(_TAKE_NEW, (before,))
        return outcomes

    def load(self, events: Iterable[StoredEvent], batch: int = 50_000, admit: Admit = everyone) -> Loaded:
        stored = admitted = total = 0
        rest = iter(events)
        while some := list(islice(rest, batch)):
            with self._connections.writing() as connection:
                before = _newest_number(connection)
                pairs = _admitted(connection, some, admit)
                rows = [_row(person, event) for person, event in pairs if person is not None]
                stored += connection.executemany(_INSERT_EVENT, rows).rowcount if rows else 0
                connection.execute(_TAKE_NEW, (before,))
            admitted += len(rows)
            total += len(some)
        return Loaded(stored, admitted - stored, total - admitted)

    def person(
        self,
        user_id: str | None,
        anonymous_id: str | None = None,
        *,
        newest: int = RECENT_EVENTS,
        without: Collection[str] = (),
    ) -> Person:
        with self._connections.reading() as connection:
            return read_person(connection, persons_of(connection, user_id, anonymous_id), newest, without)

    def known(self, event_ids: Collection[str]) -> set[str]:
        with self._connections.reading() as connection:
            marks = ", ".join("?" * len(event_ids))
            rows = connection.execute(f"SELECT event_id FROM events WHERE event_id IN ({marks})", [*event_ids])
            return {event_id for (event_id,) in rows}

    def set_attributes(self, attributes: Iterable[UserAttributes], admit: Admit = everyone) -> int:
        with self._connections.writing() as connection:
            persons = Persons(connection, admit)
            rows = (
                (person, name, STATIC if one.moment is None else one.moment, json.dumps(value))
                for one in attributes
                if (person := persons.admitted(one.user_id)) is not None
                for name, value in one.values.items()
            )
            return connection.executemany("INSERT OR REPLACE INTO attributes VALUES (?, ?, ?, ?)", rows).rowcount

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        with self._connections.writing() as connection:
            _declare(connection, Persons(connection).of(user_id, anonymous_id), statements)
        return len(statements)

    def load_statements(self, statements: Iterable[UserStatement], batch: int = 50_000) -> int:
        new, rest = 0, iter(statements)
        while some := list(islice(rest, batch)):
            with self._connections.writing() as connection:
                persons = Persons(connection)
                rows = [_statement_row(persons.of(user_id), one) for user_id, one in some]
                new += connection.executemany(_INSERT_NEW_STATEMENT, rows).rowcount
        return new

    def statements(self, user_id: str | None, anonymous_id: str | None = None) -> list[Statement]:
        with self._connections.reading() as connection:
            persons = persons_of(connection, user_id, anonymous_id)
            each = [read_statements(connection, [person]) for person in persons]
        return joined(*each) if len(each) == 2 else [one for statements in each for one in statements]

    def link(self, anonymous_id: str, user_id: str) -> bool:
        with self._connections.writing() as connection:
            user = Persons(connection).of(user_id)
            visitor = person_of(connection, anonymous=True, outside_id=anonymous_id)
            if visitor is None:
                connection.execute("INSERT INTO ids VALUES (?, 1, ?)", (user, anonymous_id))
                return True
            if visitor == user:
                return False
            if is_user(connection, visitor):
                raise RequestError(
                    "this visitor has become another user already",
                    field="anonymous_id",
                    hint="Give each visit after a logout an anonymous id of its own.",
                )
            _merge(connection, visitor, user)
            return True

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        with self._connections.reading() as connection:
            return read_export(connection, persons_of(connection, user_id, anonymous_id))

    def erase(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, int]:
        counts = dict.fromkeys(PERSONAL, 0)
        with self._connections.writing() as connection:
            for person in persons_of(connection, user_id, anonymous_id):
                for table in PERSONAL:
                    deleted = connection.execute(f"DELETE FROM {table} WHERE person = ?", (person,))
                    counts[table] += deleted.rowcount
        with self._connections.alone() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return counts

    def user_ids(self) -> Iterator[str]:
        select, last = "SELECT id FROM ids WHERE anonymous = 0 AND id > ? ORDER BY id LIMIT ?", ""
        while True:
            with self._connections.reading() as connection:
                rows = connection.execute(select, (last, IDS_AT_ONCE)).fetchall()
            if not rows:
                return
            yield from (user_id for (user_id,) in rows)
            last = rows[-1][0]

    def newest_event(self) -> int | None:
        with self._connections.reading() as connection:
            (moment,) = connection.execute("SELECT max(moment) FROM events").fetchone()
        return None if moment is None else int(moment)

    def check(self) -> None:
        with self._connections.reading() as connection:
            connection.execute("SELECT 1 FROM ids LIMIT 1").fetchone()

    def losses(self) -> str:
        return self._losses

    def close(self) -> None:
        self._connections.close()


def _admitted(
    connection: sqlite3.Connection, events: Iterable[StoredEvent], admit: Admit
) -> Iterator[tuple[int | None, StoredEvent]]:
    """Each event with its person, None where nothing may be stored of them."""
    persons = Persons(connection, admit)
    for event in events:
        yield persons.admitted(event.user_id, event.anonymous_id), event


def _row(person: int, event: StoredEvent) -> tuple[Any, ...]:
    return (
        person,
        event.event_id,
        event.item_id,
        event.type,
        event.moment,
        event.value,
        None if event.context is None else json.dumps(event.context),
        event.request_id,
        None if event.details is None else json.dumps(event.details),
    )


def _declare(connection: sqlite3.Connection, person: int, statements: Iterable[Statement]) -> None:
    connection.executemany(_INSERT_STATEMENT, [_statement_row(person, one) for one in statements])


def _statement_row(person: int, one: Statement) -> tuple[Any, ...]:
    return person, one.kind, one.key, one.moment, json.dumps(one.value), one.source


def _newest_number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT ifnull(max(number), 0) FROM events").fetchone()[0])


def _merge(connection: sqlite3.Connection, visitor: int, user: int) -> None:
    """Give a visitor's past to a user, the stricter answer of consent in force; attributes a visitor has none."""
    strictly = stricter(read_statements(connection, [user]), read_statements(connection, [visitor]))
    for table in OWNED:
        connection.execute(f"UPDATE {table} SET person = ? WHERE person = ?", (user, visitor))
    connection.execute(_TAKE_OVER, (user, visitor))
    connection.execute("DELETE FROM taken WHERE person = ?", (visitor,))
    _declare(connection, user, strictly)

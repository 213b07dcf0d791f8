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

from features.errors import RequestError
from features.joining import joined, settled
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
from serving.state.sqlite_erasures import Gate, SqliteErasures, remove_until
from serving.state.sqlite_facts import SqliteFacts
from serving.state.sqlite_group import GroupCommit
from serving.state.sqlite_persons import Persons
from serving.state.sqlite_reads import (
    is_user,
    person_of,
    persons_of,
    read_export,
    read_person,
    read_statements,
    user_of,
)
from serving.state.sqlite_schema import OWNED, STATIC, create_tables
from serving.state.sqlite_served_log import SqliteServedLog

_INSERT_EVENT = """
INSERT INTO events (person, event_id, item_id, type, moment, value, context, request_id, details)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING
"""
_IS_STORED = "SELECT 1 FROM events WHERE event_id = ?"
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
IDS_AT_ONCE = 10_000
"""Ids that are read in one transaction: nobody who lists millions holds up the store's housekeeping."""


class SqliteState(SqliteErasures, SqliteFacts):
    """A `State` in one file, or in memory when there is no path."""

    def __init__(self, path: Path | None, patience: float = 10.0, read_patience: float | None = None) -> None:
        """Open or make the store, with the patience that `Connections` has, in seconds."""
        self._path, self._patience = path, patience
        self._may_lose = None if path else "everything: the store is in memory"
        self._connections: Transactions = Connections(path, patience, read_patience)
        self._audit_log = SqliteAuditLog(self._connections)
        self._group = GroupCommit(self._connections) if path else None
        with self._connections.alone() as connection:
            create_tables(connection)

    def audited(self, deed: Deed) -> "SqliteState":
        other = copy(self)
        other._connections = NotingConnections(self._connections, deed)
        other._group = None  # the deed and what it changes are a transaction of their own
        return other

    @property
    def audit_log(self) -> SqliteAuditLog:
        return self._audit_log

    @property
    def dead_letters(self) -> SqliteDeadLetters:
        return SqliteDeadLetters(self._connections)

    @property
    def served_log(self) -> SqliteServedLog:
        return SqliteServedLog(self._connections)

    def append(self, events: Sequence[StoredEvent], admit: Admit = everyone) -> list[Outcome]:
        if self._group:
            return self._group.run(lambda connection: _append(connection, events, admit))
        with self._connections.writing() as connection:
            return _append(connection, events, admit)

    def load(self, events: Iterable[StoredEvent], batch: int = 50_000, admit: Admit = everyone) -> Loaded:
        stored = admitted = total = 0
        rest = iter(events)
        while some := list(islice(rest, batch)):
            with self._connections.writing() as connection:
                before = _newest_number(connection)
                gate, persons = Gate(connection), Persons(connection, admit)
                allowed = [event for event in some if _allowed(gate, event)]
                pairs = [(persons.admitted(event.user_id, event.anonymous_id), event) for event in allowed]
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

    def user_of(self, anonymous_id: str) -> str | None:
        with self._connections.reading() as connection:
            return user_of(connection, anonymous_id)

    def known(self, event_ids: Collection[str]) -> set[str]:
        with self._connections.reading() as connection:
            marks = ", ".join("?" * len(event_ids))
            rows = connection.execute(f"SELECT event_id FROM events WHERE event_id IN ({marks})", [*event_ids])
            return {event_id for (event_id,) in rows}

    def set_attributes(self, attributes: Iterable[UserAttributes], admit: Admit = everyone) -> int:
        with self._connections.writing() as connection:
            gate, persons = Gate(connection), Persons(connection, admit)
            rows = (
                (person, name, STATIC if one.moment is None else one.moment, json.dumps(value))
                for one in attributes
                if one.moment is None or gate.admits(one.moment, one.user_id)
                if (person := persons.admitted(one.user_id)) is not None
                for name, value in one.values.items()
            )
            return connection.executemany("INSERT OR REPLACE INTO attributes VALUES (?, ?, ?, ?)", rows).rowcount

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        with self._connections.writing() as connection:
            gate = Gate(connection)
            taken = [one for one in statements if gate.admits(one.moment, user_id, anonymous_id)]
            if taken:
                _declare(connection, Persons(connection).of(user_id, anonymous_id), taken)
        return len(taken)

    def load_statements(self, statements: Iterable[UserStatement], batch: int = 50_000) -> int:
        new, rest = 0, iter(statements)
        while some := list(islice(rest, batch)):
            with self._connections.writing() as connection:
                gate, persons = Gate(connection), Persons(connection)
                taken = [(user_id, one) for user_id, one in some if gate.admits(one.moment, user_id)]
                rows = [_statement_row(persons.of(user_id), one) for user_id, one in taken]
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
            limit = Gate(connection).pass_on(user_id, anonymous_id) if visitor is None or visitor != user else None
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
            if limit is not None:
                remove_until(connection, visitor, limit)
            _merge(connection, visitor, user)
            return True

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        with self._connections.reading() as connection:
            return read_export(connection, persons_of(connection, user_id, anonymous_id))

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

    def written(self, ids: Sequence[str]) -> list[str]:
        return list(ids)

    def check(self) -> None:
        with self._connections.reading() as connection:
            connection.execute("SELECT 1 FROM ids LIMIT 1").fetchone()

    def may_lose(self) -> str | None:
        return self._may_lose

    def close(self) -> None:
        if self._group:
            self._group.close()
        self._connections.close()


def _append(connection: sqlite3.Connection, events: Sequence[StoredEvent], admit: Admit) -> list[Outcome]:
    before = _newest_number(connection)
    gate, persons = Gate(connection), Persons(connection, admit)
    outcomes = [_append_one(connection, gate, persons, event) for event in events]
    connection.execute(_TAKE_NEW, (before,))
    return outcomes


def _append_one(connection: sqlite3.Connection, gate: Gate, persons: Persons, event: StoredEvent) -> Outcome:
    if not _allowed(gate, event):
        return "erased"
    if not persons.admits(event.user_id, event.anonymous_id):
        return "not_stored"
    if connection.execute(_IS_STORED, (event.event_id,)).fetchone():
        return "duplicate"  # which makes nobody known
    person = persons.of(event.user_id, event.anonymous_id)
    return "stored" if connection.execute(_INSERT_EVENT, _row(person, event)).rowcount else "duplicate"


def _allowed(gate: Gate, event: StoredEvent) -> bool:
    """Whether no erasure forbids an event to come back."""
    return gate.admits(event.moment, event.user_id, event.anonymous_id) and gate.admits_event(event.event_id)


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
    """Give a visitor's past to a user, with what a merge settles in force; attributes a visitor has none."""
    settling = settled(read_statements(connection, [user]), read_statements(connection, [visitor]))
    for table in OWNED:
        connection.execute(f"UPDATE {table} SET person = ? WHERE person = ?", (user, visitor))
    connection.execute(_TAKE_OVER, (user, visitor))
    connection.execute("DELETE FROM taken WHERE person = ?", (visitor,))
    _declare(connection, user, settling)

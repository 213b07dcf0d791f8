"""The audit log in the SQLite store's own file, whose triggers refuse to change or remove an entry.

Numbers are given inside the one writing transaction, so that they have no gaps: a missing one would be seen.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from serving.state.audit_log import ENTRIES_AT_ONCE, Deed, Entry, Ids, mark_of
from serving.state.sqlite_connections import Transactions
from serving.state.sqlite_reads import persons_of

_ADD = "INSERT INTO audit (number, moment, actor, action, mark, request_id, detail) VALUES (?, ?, ?, ?, ?, ?, ?)"
_AFTER = """
SELECT number, moment, actor, action, mark, request_id, detail FROM audit WHERE number > ? ORDER BY number LIMIT ?
"""


class SqliteAuditLog:
    """An `AuditLog` on the connections of a store."""

    def __init__(self, connections: Transactions) -> None:
        """The connections stay whose they are."""
        self._connections = connections

    def note(self, deed: Deed) -> None:
        if deed.noted:
            return
        with NotingConnections(self._connections, deed).writing():
            pass

    def after(self, number: int, limit: int = ENTRIES_AT_ONCE) -> list[Entry]:
        with self._connections.reading() as connection:
            rows = connection.execute(_AFTER, (number, limit)).fetchall()
        return [Entry._make((*row[:-1], json.loads(row[-1]))) for row in rows]

    def keys(self, user_id: str | None, anonymous_id: str | None = None) -> list[bytes]:
        with self._connections.reading() as connection:
            persons = persons_of(connection, user_id, anonymous_id)
            return [key for person in persons for key in _keys_of(connection, person)]


class NotingConnections:
    """The connections of a store whose first writing transaction notes a deed too."""

    def __init__(self, connections: Transactions, deed: Deed) -> None:
        """The connections stay whose they are."""
        self._connections = connections
        self._deed = deed

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: what is written within, and the deed.

        Who is known is noted before it, and so in an erasure under the key that it destroys; others after it, which
        may have made them known.
        """
        noted = self._deed.noted
        with self._connections.writing() as connection:
            strangers = () if noted else _note_known(connection, self._deed)
            yield connection
            if not noted:
                _note_rest(connection, self._deed, strangers)
        self._deed.noted = True

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """As without a deed."""
        return self._connections.reading()

    def alone(self) -> AbstractContextManager[sqlite3.Connection]:
        """As without a deed."""
        return self._connections.alone()

    def close(self) -> None:
        """Give back the file."""
        self._connections.close()


def _note_known(connection: sqlite3.Connection, deed: Deed) -> Sequence[Ids]:
    """Add entries for those who are known; gives the others."""
    strangers = []
    for ids in deed.people:
        persons = persons_of(connection, *ids)
        for person in persons:
            _add(connection, deed, person)
        if not persons:
            strangers.append(ids)
    return strangers


def _note_rest(connection: sqlite3.Connection, deed: Deed, strangers: Sequence[Ids]) -> None:
    """Add entries for those who were not known, or the one entry of a deed that is about nobody."""
    for ids in strangers:
        for person in persons_of(connection, *ids) or (None,):
            _add(connection, deed, person)
    if not deed.people:
        _add(connection, deed, None)


def _add(connection: sqlite3.Connection, deed: Deed, person: int | None) -> None:
    (number,) = connection.execute("SELECT ifnull(max(number), 0) + 1 FROM audit").fetchone()
    mark = None if person is None else mark_of(_newest_key(connection, person), number)
    row = (number, deed.moment, deed.actor, deed.action, mark, deed.request_id, json.dumps(deed.detail))
    connection.execute(_ADD, row)


def _newest_key(connection: sqlite3.Connection, person: int) -> bytes:
    """A key of the person, made when there is none."""
    for key in _keys_of(connection, person):
        return key
    key = secrets.token_bytes(32)
    connection.execute("INSERT INTO audit_keys (person, key) VALUES (?, ?)", (person, key))
    return key


def _keys_of(connection: sqlite3.Connection, person: int) -> list[bytes]:
    rows = connection.execute("SELECT key FROM audit_keys WHERE person = ? ORDER BY number DESC", (person,))
    return [bytes(key) for (key,) in rows]

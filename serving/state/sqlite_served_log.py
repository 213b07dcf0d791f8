"""The log of what was served in the SQLite store: rows of their people, the answer itself as JSON."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from features.joining import joined
from features.statements import Statement
from serving.state.protocol import Admit, everyone
from serving.state.served_log import LogExport, LoggedAnswer, ServedItem, ServedRow
from serving.state.sqlite_connections import Transactions
from serving.state.sqlite_erasures import Gate
from serving.state.sqlite_persons import Persons
from serving.state.sqlite_reads import OUTSIDE_IDS, persons_of, read_statements

_ADD = """
INSERT INTO served (person, request_id, moment, answer) VALUES (?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING
"""
_SELECT = f"SELECT number, request_id, moment, answer, {OUTSIDE_IDS.format(table='served')} FROM served"
_NEWEST = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'served'"
_IN_ANSWER = ("answered_for", "placement", "items", "bundle", "policy", "seen", "query", "propensity")
"""Fields of a row that lie in its JSON."""


class SqliteServedLog:
    """A `ServedLog` on the connections of a store."""

    def __init__(self, connections: Transactions) -> None:
        """The connections stay whose they are."""
        self._connections = connections

    def add(self, rows: Sequence[ServedRow], admit: Admit = everyone) -> int:
        with self._connections.writing() as connection:
            gate, persons = Gate(connection), Persons(connection)
            admitted = (row for row in rows if _allowed(gate, row) and _admitted(connection, row, admit))
            return sum(_add(connection, persons, row) for row in admitted)

    def find(self, request_id: str, user_id: str | None, anonymous_id: str | None = None) -> ServedRow | None:
        with self._connections.reading() as connection:
            persons = persons_of(connection, user_id, anonymous_id)
            marks = ", ".join("?" * len(persons))
            test = f"WHERE request_id = ? AND (person IS NULL OR person IN ({marks}))"
            row = connection.execute(f"{_SELECT} {test}", (request_id, *persons)).fetchone()
        return None if row is None else _logged(*row).row

    def after(self, number: int, limit: int) -> list[LoggedAnswer]:
        with self._connections.reading() as connection:
            rows = connection.execute(f"{_SELECT} WHERE number > ? ORDER BY number LIMIT ?", (number, limit)).fetchall()
        return [_logged(*row) for row in rows]

    def newest(self) -> int:
        with self._connections.reading() as connection:
            return int(connection.execute(_NEWEST).fetchone()[0])

    def note_export(self, export: LogExport) -> None:
        with self._connections.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO log_exports VALUES (?, ?, ?, ?)", export)

    def exports(self) -> list[LogExport]:
        with self._connections.reading() as connection:
            rows = connection.execute("SELECT folder, moment, events, served FROM log_exports ORDER BY folder")
            return [LogExport(*row) for row in rows]


def _allowed(gate: Gate, row: ServedRow) -> bool:
    """Whether the row is of nobody who was erased since the answer."""
    ids = ((row.user_id, None), (None, row.anonymous_id))
    return all(one == (None, None) or gate.admits(row.moment, *one) for one in ids)


def _admitted(connection: sqlite3.Connection, row: ServedRow, admit: Admit) -> bool:
    if admit is everyone or (row.user_id is None and row.anonymous_id is None):
        return True
    persons = persons_of(connection, row.user_id, row.anonymous_id)
    said: list[Statement] = []
    for person in persons:
        said = joined(said, read_statements(connection, [person]))
    return admit(said)


def _add(connection: sqlite3.Connection, persons: Persons, row: ServedRow) -> int:
    nobody = row.user_id is None and row.anonymous_id is None
    person = None if nobody else persons.of(row.user_id, row.anonymous_id)
    answer = json.dumps({name: getattr(row, name) for name in _IN_ANSWER})
    return connection.execute(_ADD, (person, row.request_id, row.moment, answer)).rowcount


def _logged(number: int, request_id: str, moment: int, *row: Any) -> LoggedAnswer:
    answer, user_id, anonymous_id = row
    fields = json.loads(answer)
    fields["items"] = tuple(ServedItem(*item) for item in fields["items"])
    return LoggedAnswer(number, ServedRow(request_id, user_id, anonymous_id, moment, **fields))

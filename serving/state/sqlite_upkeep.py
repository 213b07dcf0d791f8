"""Upkeep of the SQLite store: its tables as they lie, row by row, under their own numbers."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from serving.state.sqlite_connections import Connections
from serving.state.sqlite_item_log import SqliteItemLog
from serving.state.sqlite_schema import create_tables
from serving.state.upkeep import COUNTERS, IDENTITY, PLAIN, Row

ROWS_AT_ONCE = 5_000
DERIVED = ("taken",)
NUMBERED = ("events", "statements", "dead_letters", "served")
"""Tables whose rows have numbers that may not be given twice."""
ONE_ROW = (IDENTITY, "event_exports")
"""Tables of one row each, which takes the place of what is there."""
_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name != 'ids', name
"""
_TAKE_ALL = "INSERT INTO taken SELECT person, item_id, type, max(moment) FROM events GROUP BY person, item_id, type"
_COUNT_ON = "UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :table"
_BEGIN_COUNT = """
INSERT INTO sqlite_sequence SELECT :table, :number
WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :table)
"""
_COUNTED = {"rows": NUMBERED, "items": ("item_changes",)}
"""Tables whose numbers a counter gives."""


class SqliteUpkeep:
    """`Upkeep` of one file."""

    def __init__(self, path: Path | None, patience: float = 10.0) -> None:
        """Open or make the store; `patience` is the longest wait for another process's write, in seconds."""
        with closing(SqliteItemLog(path, patience)):
            self._connections = Connections(path, patience)
        with self._connections.alone() as connection:
            create_tables(connection)

    def rebuild(self) -> dict[str, int]:
        with self._connections.writing() as connection:
            connection.execute("DELETE FROM taken")
            return {"taken": connection.execute(_TAKE_ALL).rowcount}

    def rows(self) -> Iterator[tuple[str, Sequence[Row]]]:
        with self._connections.reading() as connection:
            yield COUNTERS, list(_counters(connection))
            tables = [name for (name,) in connection.execute(_TABLES) if name not in DERIVED]
            for table in (*ONE_ROW, *(one for one in tables if one not in ONE_ROW)):
                blobs, order = _blobs(connection, table), "ORDER BY number" if table in NUMBERED else ""
                cursor = connection.execute(f"SELECT * FROM {table} {order}")
                names = [column[0] for column in cursor.description]
                while some := cursor.fetchmany(ROWS_AT_ONCE):
                    yield table, [_row(table, blobs, dict(zip(names, one, strict=True))) for one in some]

    def put(self, table: str, rows: Sequence[Row]) -> None:
        with self._connections.writing() as connection:
            if table == COUNTERS:
                _count_on(connection, rows)
                return
            if table in ONE_ROW:
                connection.execute(f"DELETE FROM {table}")
            blobs = _blobs(connection, table)
            for row in rows:
                _put(connection, table, {name: _stored(table, blobs, name, one) for name, one in row.items()})

    def identity(self) -> str | None:
        with self._connections.reading() as connection:
            (held,) = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM ids) OR EXISTS (SELECT 1 FROM item_changes) "
                "OR EXISTS (SELECT 1 FROM audit) OR EXISTS (SELECT 1 FROM erasures)"
            ).fetchone()
            (identity,) = connection.execute(f"SELECT identity FROM {IDENTITY}").fetchone()
        return str(identity) if held else None

    def close(self) -> None:
        self._connections.close()


def _counters(connection: sqlite3.Connection) -> Iterator[Row]:
    select = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name IN ({})"
    for name, tables in _COUNTED.items():
        marks = ", ".join("?" * len(tables))
        yield {"name": name, "number": connection.execute(select.format(marks), tables).fetchone()[0]}
    yield {"name": "persons", "number": connection.execute("SELECT ifnull(max(person), 0) FROM ids").fetchone()[0]}


def _count_on(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    for row in rows:
        for table in _COUNTED.get(row["name"], ()):
            connection.execute(_COUNT_ON, {"table": table, "number": row["number"]})
            connection.execute(_BEGIN_COUNT, {"table": table, "number": row["number"]})


def _put(connection: sqlite3.Connection, table: str, row: Row) -> None:
    """One row in the place of the same one; an entry of the audit log, which is never replaced, only if it is new."""
    if table == "access_keys":
        row = {**row, "version": row["number"]}
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    if table == "audit":
        insert = f"INSERT INTO audit ({names}) SELECT {marks} WHERE NOT EXISTS (SELECT 1 FROM audit WHERE number = ?)"
        connection.execute(insert, (*row.values(), row["number"]))
    else:
        connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", (*row.values(),))


def _blobs(connection: sqlite3.Connection, table: str) -> set[str]:
    return {name for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})") if kind == "BLOB"}


def _row(table: str, blobs: set[str], row: dict[str, Any]) -> Row:
    if table == "access_keys":
        del row["version"]  # which matters to those who have the store open
    for name, value in row.items():
        if value is not None and name in blobs:
            row[name] = value.hex()
        elif value is not None and (table, name) in PLAIN:
            row[name] = json.loads(value)
    return row


def _stored(table: str, blobs: set[str], name: str, value: Any) -> Any:
    nullable = (table, name) not in (("statements", "value"), ("attributes", "value"))
    if value is None and nullable:
        return None
    if name in blobs:
        return bytes.fromhex(value)
    return json.dumps(value) if (table, name) in PLAIN else value

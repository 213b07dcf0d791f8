"""The log of item changes in the SQLite store's own file.

SQLite has one writer at a time and gives the numbers inside its transaction, so that they become visible in
their order. A store that was made without the log is given one.
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from serving.state.item_log import ItemChange, ItemEdit
from serving.state.sqlite_connections import Connections

_TABLES = (
    """CREATE TABLE IF NOT EXISTS item_changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        item_id TEXT NOT NULL UNIQUE,
        attributes TEXT,
        moment INTEGER NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS item_log (identity TEXT NOT NULL)",
    "INSERT INTO item_log SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM item_log)",
)
_CHANGE = "INSERT OR REPLACE INTO item_changes (item_id, attributes, moment) VALUES (?, ?, ?) RETURNING number"
_AFTER = "SELECT number, item_id, attributes, moment FROM item_changes WHERE number > ? ORDER BY number LIMIT ?"


class SqliteItemLog:
    """An `ItemLog` in one file, or in memory when there is no path."""

    def __init__(self, path: Path | None, patience: float = 10.0) -> None:
        """Open or make the log; `patience` is the longest wait for another process's write, in seconds."""
        self._connections = Connections(path, patience)
        with self._connections.writing() as connection:
            for statement in _TABLES:
                connection.execute(statement)
            self._identity = str(connection.execute("SELECT identity FROM item_log").fetchone()[0])

    @property
    def identity(self) -> str:
        return self._identity

    def change(self, edits: Sequence[ItemEdit], moment: int) -> list[int]:
        with self._connections.writing() as connection:
            return [_change(connection, edit, moment) for edit in edits]

    def after(self, number: int, limit: int) -> list[ItemChange]:
        with self._connections.reading() as connection:
            rows = connection.execute(_AFTER, (number, limit)).fetchall()
        return [
            ItemChange(at, item_id, "delete", None, moment)
            if attributes is None
            else ItemChange(at, item_id, "upsert", json.loads(attributes), moment)
            for at, item_id, attributes, moment in rows
        ]

    def newest(self) -> int:
        with self._connections.reading() as connection:
            return int(connection.execute("SELECT ifnull(max(number), 0) FROM item_changes").fetchone()[0])

    def close(self) -> None:
        self._connections.close()


def _change(connection: sqlite3.Connection, edit: ItemEdit, moment: int) -> int:
    attributes = None if edit.attributes is None else json.dumps(edit.attributes, ensure_ascii=False)
    return int(connection.execute(_CHANGE, (edit.item_id, attributes, moment)).fetchone()[0])

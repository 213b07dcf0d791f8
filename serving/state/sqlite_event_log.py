"""The log of events in the SQLite store: its table of events, read by number."""

import json
from pathlib import Path
from typing import Any

from serving.state.event_log import LoggedEvent
from serving.state.protocol import StoredEvent
from serving.state.sqlite_connections import Connections
from serving.state.sqlite_reads import OUTSIDE_IDS, newest_number
from serving.state.sqlite_schema import create_tables

_AFTER = f"""
SELECT number, event_id, item_id, type, moment, value, context, request_id, details,
    {OUTSIDE_IDS.format(table="events")}
FROM events WHERE number > ? ORDER BY number LIMIT ?
"""
_MARK = "UPDATE event_exports SET number = max(number, ?)"


class SqliteEventLog:
    """An `EventLog` in one file, or in memory when there is no path."""

    def __init__(self, path: Path | None, patience: float = 10.0) -> None:
        """Open or make the store; `patience` is the longest wait for another process's write, in seconds."""
        self._connections = Connections(path, patience)
        with self._connections.alone() as connection:
            create_tables(connection)

    def after(self, number: int, limit: int) -> list[LoggedEvent]:
        with self._connections.reading() as connection:
            rows = connection.execute(_AFTER, (number, limit)).fetchall()
        return [_logged(*row) for row in rows]

    def newest(self) -> int:
        with self._connections.reading() as connection:
            return newest_number(connection)

    def exported(self) -> int:
        with self._connections.reading() as connection:
            return int(connection.execute("SELECT number FROM event_exports").fetchone()[0])

    def mark_exported(self, number: int) -> None:
        with self._connections.writing() as connection:
            connection.execute(_MARK, (number,))

    def close(self) -> None:
        self._connections.close()


def _logged(number: int, *row: Any) -> LoggedEvent:
    event_id, item_id, kind, moment, value, context, request_id, details, user_id, anonymous_id = row
    return LoggedEvent(
        number,
        StoredEvent(
            event_id=event_id,
            item_id=item_id,
            type=kind,
            moment=moment,
            user_id=user_id,
            anonymous_id=anonymous_id if user_id is None else None,
            value=value,
            context=None if context is None else json.loads(context),
            request_id=request_id,
            details=None if details is None else json.loads(details),
        ),
    )

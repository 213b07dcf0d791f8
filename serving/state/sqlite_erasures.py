"""Erasure in the SQLite store: rows, marks and receipts in one transaction, then the bytes that rows left behind.

`secure_delete` overwrites what is deleted where it lies. It does not reach the copies that SQLite leaves in the unused
part of a page when rows move to a neighbour: those are looked for in the file and, where there are some, the whole file
is written anew (measured: one person in a hundred had such a copy after 30,000 events of random order).
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.errors import StateError
from features.moments import DAY
from features.tombstones import Marked, Tombstones, mark_of
from serving.state.erasures import PSEUDONYMS, RETRY_DAYS, Erasure, Receipt, Scrubbed
from serving.state.sqlite_connections import Transactions
from serving.state.sqlite_reads import person_of, persons_of
from serving.state.sqlite_schema import PERSONAL
from serving.state.unused_bytes import search_in_process

KEY = "erasure_key"
CHECKPOINT_SECONDS = 0.02
"""Between two tries to empty the write-ahead log, which waits for whoever reads at the moment."""

_SETTLE = "INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING"
_SETTLED = "SELECT value FROM settings WHERE name = ?"


class Gate:
    """What erasures forbid to come back, asked within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        any_mark = "SELECT EXISTS (SELECT 1 FROM erasures) OR EXISTS (SELECT 1 FROM erased_events)"
        self._guarded = bool(connection.execute(any_mark).fetchone()[0])
        self._key = erasure_key(connection) if self._guarded else ""
        self._limits: dict[tuple[Marked, str], int | None] = {}

    def limit(self, user_id: str | None, anonymous_id: str | None = None) -> int | None:
        """Up to which moment nothing of an id is taken; None when everything is."""
        if not self._guarded:
            return None
        kind, outside_id = _kind_and_id(user_id, anonymous_id)
        if (kind, outside_id) not in self._limits:
            select = "SELECT max(moment) FROM erasures WHERE mark = ?"
            (found,) = self._connection.execute(select, (mark_of(self._key, kind, outside_id),)).fetchone()
            self._limits[kind, outside_id] = found
        return self._limits[kind, outside_id]

    def admits(self, moment: int, user_id: str | None, anonymous_id: str | None = None) -> bool:
        """Whether something dated so may be stored of an id."""
        limit = self.limit(user_id, anonymous_id)
        return limit is None or moment > limit

    def admits_event(self, event_id: str) -> bool:
        """Whether an event of this id was not erased lately."""
        if not self._guarded:
            return True
        mark = (mark_of(self._key, "event", event_id),)
        return self._connection.execute("SELECT 1 FROM erased_events WHERE mark = ?", mark).fetchone() is None

    def pass_on(self, user: str, visitor: str) -> int | None:
        """At a link: give a visitor the user's newest mark; up to which moment nothing of the visitor may stay."""
        if not self._guarded:
            return None
        select = "SELECT moment, receipt FROM erasures WHERE mark = ? ORDER BY moment DESC LIMIT 1"
        newest = self._connection.execute(select, (mark_of(self._key, "user", user),)).fetchone()
        if newest is None:
            return None
        mark = mark_of(self._key, "visitor", visitor)
        self._connection.execute("INSERT OR IGNORE INTO erasures VALUES (?, ?, ?)", (mark, *newest))
        return int(newest[0])


class SqliteErasures:
    """The part of the store that forgets; it stands on the store's connections."""

    _connections: Transactions
    _path: Path | None
    _patience: float

    def erase(self, user_id: str | None, anonymous_id: str | None = None, *, moment: int) -> Erasure:
        with self._connections.writing() as connection:
            key = erasure_key(connection)
            persons = persons_of(connection, user_id, anonymous_id)
            users, visitors = _ids_of(connection, persons, user_id, anonymous_id)
            receipt_id = secrets.token_hex(16)
            marks = [mark_of(key, "user", one) for one in users] + [mark_of(key, "visitor", one) for one in visitors]
            connection.executemany(
                "INSERT INTO erasures VALUES (?, ?, ?)", [(one, moment, receipt_id) for one in marks]
            )
            _mark_events(connection, key, persons, moment)
            removed = {table: _delete(connection, table, persons) for table in PERSONAL}
            ids = json.dumps({"user_ids": users, "anonymous_ids": visitors})
            row = (receipt_id, moment, json.dumps(removed), ids, None)
            connection.execute("INSERT INTO receipts VALUES (?, ?, ?, ?, ?)", row)
        return Erasure(receipt_id, moment, removed, users, visitors)

    def unfinished(self) -> list[Erasure]:
        with self._connections.reading() as connection:
            select = "SELECT id, moment, removed, ids FROM receipts WHERE ids IS NOT NULL ORDER BY moment, id"
            rows = connection.execute(select).fetchall()
        return [Erasure(one, moment, json.loads(removed), **json.loads(ids)) for one, moment, removed, ids in rows]

    def finish(self, receipt_id: str, report: Mapping[str, Any]) -> None:
        with self._connections.writing() as connection:
            update = "UPDATE receipts SET ids = NULL, report = ? WHERE id = ?"
            connection.execute(update, (json.dumps(report), receipt_id))

    def receipts(self, user_id: str | None, anonymous_id: str | None = None) -> list[Receipt]:
        with self._connections.reading() as connection:
            stored = connection.execute(_SETTLED, (KEY,)).fetchone()
            if stored is None:
                return []
            given: list[tuple[Marked, str | None]] = [("user", user_id), ("visitor", anonymous_id)]
            marks = [mark_of(stored[0], kind, one) for kind, one in given if one is not None]
            rows = connection.execute(
                "SELECT id, moment, removed, report FROM receipts WHERE id IN "
                f"(SELECT receipt FROM erasures WHERE mark IN ({', '.join('?' * len(marks))})) ORDER BY moment, id",
                marks,
            ).fetchall()
        return [
            Receipt(one, moment, json.loads(removed), None if report is None else json.loads(report))
            for one, moment, removed, report in rows
        ]

    def tombstones(self) -> Tombstones:
        key, pseudonyms = self.settle(KEY, secrets.token_hex(32)), self.setting(PSEUDONYMS)
        with self._connections.reading() as connection:
            marks = dict(connection.execute("SELECT mark, max(moment) FROM erasures GROUP BY mark"))
        return Tombstones(key, marks, pseudonyms)

    def setting(self, name: str) -> str | None:
        with self._connections.reading() as connection:
            row = connection.execute(_SETTLED, (name,)).fetchone()
        return None if row is None else str(row[0])

    def settle(self, name: str, value: str) -> str:
        with self._connections.writing() as connection:
            return _settle(connection, name, value)

    def scrub(self, ids: Sequence[str]) -> Scrubbed:
        self._empty_log()
        if self.remnants(ids):
            with self._connections.alone() as connection:
                connection.execute("VACUUM")
            self._empty_log()
        return Scrubbed("absent" if self._path is None else "rewritten")

    def remnants(self, ids: Sequence[str]) -> dict[str, int]:
        return {} if self._path is None else search_in_process(self._path, ids)

    def _empty_log(self) -> None:
        """Move the write-ahead log into the file and cut it to nothing, which waits until nobody reads from it."""
        until = time.monotonic() + self._patience
        while True:
            with self._connections.alone() as connection:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return
            if time.monotonic() > until:
                raise StateError(
                    "the write-ahead log could not be emptied: others read from it all the time",
                    field="state",
                    hint="It is tried again; a process that holds a read open for long must end.",
                )
            time.sleep(CHECKPOINT_SECONDS)


def remove_until(connection: sqlite3.Connection, person: int, moment: int) -> None:
    """Remove what is dated at or before a moment, of a visitor who turns out to be an erased person."""
    for table in ("events", "statements", "dead_letters", "served"):
        connection.execute(f"DELETE FROM {table} WHERE person = ? AND moment <= ?", (person, moment))
    connection.execute("DELETE FROM taken WHERE person = ? AND moment <= ?", (person, moment))


def _settle(connection: sqlite3.Connection, name: str, value: str) -> str:
    connection.execute(_SETTLE, (name, value))
    return str(connection.execute(_SETTLED, (name,)).fetchone()[0])


def erasure_key(connection: sqlite3.Connection) -> str:
    """The store's own key of marks, made with the first erasure."""
    return _settle(connection, KEY, secrets.token_hex(32))


def _kind_and_id(user_id: str | None, anonymous_id: str | None) -> tuple[Marked, str]:
    return ("visitor", anonymous_id or "") if user_id is None else ("user", user_id)


def _ids_of(
    connection: sqlite3.Connection, persons: Sequence[int], user_id: str | None, anonymous_id: str | None
) -> tuple[list[str], list[str]]:
    """Outside ids of the persons, and those that were given and are nobody's; users and visitors, sorted."""
    found: set[tuple[bool, str]] = set()
    for anonymous, given in ((False, user_id), (True, anonymous_id)):
        if given is not None and person_of(connection, anonymous=anonymous, outside_id=given) is None:
            found.add((anonymous, given))
    for person in persons:
        rows = connection.execute("SELECT anonymous, id FROM ids WHERE person = ?", (person,))
        found |= {(bool(anonymous), one) for anonymous, one in rows}
    users = sorted(one for anonymous, one in found if not anonymous)
    return users, sorted(one for anonymous, one in found if anonymous)


def _mark_events(connection: sqlite3.Connection, key: str, persons: Iterable[int], moment: int) -> None:
    """Know the ids of the newest events for a while."""
    since = moment - RETRY_DAYS * DAY
    for person in persons:
        rows = connection.execute("SELECT event_id FROM events WHERE person = ? AND moment > ?", (person, since))
        marks = [(mark_of(key, "event", event_id), moment) for (event_id,) in rows]
        connection.executemany("INSERT OR REPLACE INTO erased_events VALUES (?, ?)", marks)


def _delete(connection: sqlite3.Connection, table: str, persons: Sequence[int]) -> int:
    """The number of rows that are gone."""
    marks = ", ".join("?" * len(persons))
    return connection.execute(f"DELETE FROM {table} WHERE person IN ({marks})", [*persons]).rowcount

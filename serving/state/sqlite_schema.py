"""The tables of the SQLite store.

`events` is the log: `number` only grows, and the unique `event_id` is the mark by which a repeated event is
known. `taken` is derived from it, kept so that a read need not see the whole past. `ids` says which person
an outside id stands for. `erasures` and `erased_events` hold marks, never ids; `receipts` holds the ids of an erasure
until it is finished. A table of an earlier version is one of a later; each version has more of them, or of their
columns.
"""

import sqlite3

from features.errors import StateError

VERSION = 4
STATIC = -(2**63)
"""The moment under which attributes are kept that never change."""

TABLES = """
CREATE TABLE IF NOT EXISTS ids (
    person INTEGER NOT NULL,
    anonymous INTEGER NOT NULL CHECK (anonymous IN (0, 1)),
    id TEXT NOT NULL,
    PRIMARY KEY (anonymous, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ids_of_person ON ids (person);

CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL,
    event_id TEXT NOT NULL UNIQUE,
    item_id TEXT NOT NULL,
    type TEXT NOT NULL,
    moment INTEGER NOT NULL,
    value REAL,
    context TEXT,
    request_id TEXT,
    details TEXT
);
CREATE INDEX IF NOT EXISTS events_of_person ON events (person, moment);
CREATE INDEX IF NOT EXISTS events_by_moment ON events (moment);

CREATE TABLE IF NOT EXISTS taken (
    person INTEGER NOT NULL,
    item_id TEXT NOT NULL,
    type TEXT NOT NULL,
    moment INTEGER NOT NULL,
    PRIMARY KEY (person, item_id, type)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS attributes (
    person INTEGER NOT NULL,
    name TEXT NOT NULL,
    moment INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (person, name, moment)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS statements (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    moment INTEGER NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS statements_of_person ON statements (person, moment);

CREATE TABLE IF NOT EXISTS dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER,
    digest TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    moment INTEGER NOT NULL,
    field TEXT,
    message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letters_of_person ON dead_letters (person);

CREATE TABLE IF NOT EXISTS served (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER,
    request_id TEXT NOT NULL UNIQUE,
    moment INTEGER NOT NULL,
    answer TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS served_of_person ON served (person, moment);
CREATE INDEX IF NOT EXISTS served_by_moment ON served (moment);
CREATE TABLE IF NOT EXISTS log_exports (
    folder TEXT PRIMARY KEY,
    moment INTEGER NOT NULL,
    events INTEGER NOT NULL,
    served INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS erasures (
    mark TEXT NOT NULL,
    moment INTEGER NOT NULL,
    receipt TEXT NOT NULL,
    PRIMARY KEY (mark, moment, receipt)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS erased_events (
    mark TEXT NOT NULL PRIMARY KEY,
    moment INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS receipts (
    id TEXT NOT NULL PRIMARY KEY,
    moment INTEGER NOT NULL,
    removed TEXT NOT NULL,
    ids TEXT,
    report TEXT
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_exports (number INTEGER NOT NULL);
INSERT INTO event_exports SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM event_exports);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY,
    moment INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    mark BLOB,
    request_id TEXT,
    detail TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_refuses_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER IF NOT EXISTS audit_refuses_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER IF NOT EXISTS audit_refuses_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE number = new.number)
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;

CREATE TABLE IF NOT EXISTS audit_keys (
    number INTEGER PRIMARY KEY,
    person INTEGER NOT NULL,
    key BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_keys_of_person ON audit_keys (person);

CREATE TABLE IF NOT EXISTS access_keys (
    number INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    digest BLOB NOT NULL,
    made INTEGER NOT NULL,
    expires INTEGER,
    rate REAL,
    burst INTEGER
);
CREATE INDEX IF NOT EXISTS access_keys_by_version ON access_keys (version);
"""
OWNED = ("events", "statements", "dead_letters", "served", "audit_keys", "ids")
"""Tables whose rows belong to one person, and to the other after a merge."""
PERSONAL = (*OWNED, "taken", "attributes")
"""Tables from which an erasure removes a person's rows."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in a new store. Raises `StateError` when the store is of another version."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version <= VERSION:
        for statement in TABLES.split(";\n"):
            connection.execute(statement)
        _add_column(connection, "events", "details", "TEXT")
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")
    if version > VERSION:
        raise StateError(
            f"the store has the form of version {version}; this program reads version {VERSION}",
            field="state",
            hint="Use the program that wrote it, or load a new store.",
        )


def _add_column(connection: sqlite3.Connection, table: str, column: str, kind: str) -> None:
    """Give a table of an earlier version a column that it lacks."""
    if column not in {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

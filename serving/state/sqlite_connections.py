"""The connections of one process to one SQLite file: one that writes, and one for each thread that reads.

A file has a single writer at a time, whichever process it is in, and its readers see whole transactions only.
The file is the one that bears the store's name at each moment: an open file that was moved or deleted would go on
to take writes that nobody ever finds again.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from features.errors import StateError


class Transactions(Protocol):
    """What a store needs of its connections."""

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction that may write: all of it is stored, or nothing."""

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """One moment of the store for all that is read."""

    def alone(self) -> AbstractContextManager[sqlite3.Connection]:
        """The connection that writes, without a transaction."""

    def close(self) -> None:
        """Give back the file."""


class Connections:
    """Transactions on one file, or on a store in memory when there is no path; safe to call from any thread."""

    def __init__(self, path: Path | None, patience: float, read_patience: float | None = None) -> None:
        """Open or make the file.

        `patience` is the longest wait for another process's write, in seconds; `read_patience` that of a read, which
        waits only while somebody has locked the whole file or repairs it.
        """
        self._path = path
        self._patience = patience
        self._read_patience = patience if read_patience is None else read_patience
        self._lock = threading.RLock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        with _told():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)
            self._writer = connect(path, patience)
            self._file = _file_of(path)

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, without a transaction."""
        with self._lock, _told():
            file = _file_of(self._path)
            if file != self._file:
                self._writer.close()
                self._writer, self._file = connect(self._path, self._patience), file
            yield self._writer

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that may write: all of it is stored, or nothing."""
        with self.alone() as connection, _transaction(connection, "BEGIN IMMEDIATE"):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One moment of the store for all that is read; a store in memory has but one connection."""
        if self._path is None:
            with self.alone() as connection:
                yield connection
        else:
            with _told(), _transaction(self._reader(), "BEGIN") as connection:
                yield connection

    def close(self) -> None:
        """Give back the file."""
        with self._lock:
            self._closed = True
            for connection in (*self._readers, self._writer):
                connection.close()

    def _reader(self) -> sqlite3.Connection:
        """The connection of this thread."""
        file = _file_of(self._path)
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None or self._local.file != file:
            with self._lock:
                if self._closed:
                    raise sqlite3.ProgrammingError("it was closed")
                connection = self._local.connection = connect(self._path, self._read_patience)
                self._local.file = file
                self._readers.append(connection)
        return connection


def _file_of(path: Path | None) -> tuple[int, int] | None:
    """What tells one file from another of the same name; None for a store in memory. Raises OSError without a file."""
    if path is None:
        return None
    found = path.stat()
    return found.st_dev, found.st_ino


def connect(path: Path | None, patience: float) -> sqlite3.Connection:
    """A connection to a file, or to a private store in memory, that waits `patience` seconds for a lock.

    An acknowledged commit survives a power loss (`synchronous=FULL`), and deleted content is overwritten.
    """
    connection = sqlite3.connect(path or ":memory:", timeout=patience, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA cache_size=-65536")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[sqlite3.Connection]:
    connection.execute(begin)
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _told() -> Iterator[None]:
    """Turn the library's errors into ours; their texts name tables and files, never what is in them."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StateError(
            f"the store did not answer: {error}",
            field="state",
            hint="Look at the disk, its free space, and which other process holds the file.",
        ) from error

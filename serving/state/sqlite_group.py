"""One thread that writes for all threads of a process, in groups: whoever asks while one group is being synced to disk
is in the next, so that many share one transaction and one sync.

Nobody waits for company: a group is whoever is there. "Principles of Transaction-Oriented Database Recovery" (Haerder
and Reuter, 1983) and DeWitt et al. (1984) call it group commit.
"""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from serving.state.sqlite_connections import Transactions

T = TypeVar("T")
MOST = 256
"""Most who share one transaction."""


class _Job(NamedTuple, Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    answer: "Future[T]"


class GroupCommit:
    """Runs work that writes; safe to call from any thread. The thread begins with the first work."""

    def __init__(self, transactions: Transactions) -> None:
        """The connections stay whose they are."""
        self._transactions = transactions
        self._waiting: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What the work returns, once it is on disk. What it raises leaves nothing of it, and all of the others."""
        with self._lock:
            if self._closed:
                with self._transactions.writing() as connection:  # which says that it is closed
                    return work(connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="tailorbird-writer", daemon=True)
                self._thread.start()
            answer: Future[T] = Future()
            self._waiting.put(_Job(work, answer))
        return answer.result()

    def close(self) -> None:
        """Write what waits, then end the thread."""
        with self._lock:
            self._closed = True
            self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        while True:
            group, more = self._group()
            if group:
                self._commit(group)
            if not more:
                return

    def _group(self) -> tuple[list[_Job[Any]], bool]:
        """Whoever waits by now, at least one, and whether others may come."""
        group: list[_Job[Any]] = []
        while len(group) < MOST and (not group or not self._waiting.empty()):
            job = self._waiting.get()
            if job is None:
                return group, False
            group.append(job)
        return group, True

    def _commit(self, group: list[_Job[Any]]) -> None:
        """One transaction; an error of the store is everybody's, any other only of the work that raised it."""
        answers: list[tuple[Any, Exception | None]] = []
        try:
            with self._transactions.writing() as connection:
                answers.extend(_tried(connection, job.work) for job in group)
        except Exception as error:
            answers = [(None, error)] * len(group)
        for job, (answer, failed) in zip(group, answers, strict=True):
            if failed:
                job.answer.set_exception(failed)
            else:
                job.answer.set_result(answer)


def _tried(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]
) -> tuple[T | None, Exception | None]:
    connection.execute("SAVEPOINT job")
    try:
        answer = work(connection)
    except sqlite3.Error:
        raise
    except Exception as error:
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return None, error
    connection.execute("RELEASE job")
    return answer, None

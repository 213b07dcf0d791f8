"""One function over many inputs, in several processes that start anew: results come in the order of the inputs.

Not forked, because ONNX Runtime and FAISS have threads and locks of their own. Each process opens for itself what it
works with, and shares only what is mapped from files. Memory is bounded: a process gets its next input when it has
given its last result, and none gets far ahead of the slowest.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from features.errors import TailorbirdError

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4
"""Inputs for each process that may be begun before the oldest result is there."""
PATIENCE_SECONDS = 5.0
"""For a process that should end, before it is killed."""


class ProcessError(TailorbirdError):
    """A process that worked for this one ended, or failed in a way that nobody foresaw."""

    code = "process_failed"


def cores() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(open_work: Callable[[], Callable[[T], R]], inputs: Iterable[T], processes: int) -> Iterator[R]:
    """What the opened function makes of each input. A single process is this one; several are started and ended here.

    `open_work`, inputs and results must be picklable when there are several. Raises what the function raises if it is
    a TailorbirdError, and ProcessError when it fails otherwise or a process ends.
    """
    if processes == 1:
        yield from map(open_work(), inputs)
        return
    workers: list[WorkerProcess] = []
    try:
        workers.extend(WorkerProcess(open_work) for _ in range(processes))
        yield from _collected(workers, enumerate(inputs))
    finally:
        for worker in workers:
            worker.end()


def _collected(workers: "list[WorkerProcess]", numbered: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    idle, busy = list(workers), dict[Any, tuple[WorkerProcess, int]]()
    done: dict[int, Any] = {}
    turn, most = 0, AHEAD * len(workers)
    waiting = next(numbered, None)
    while waiting or busy:
        while waiting and idle and waiting[0] < turn + most:
            worker = idle.pop()
            worker.give(waiting[1])
            busy[worker.connection] = worker, waiting[0]
            waiting = next(numbered, None)
        for ready in wait(list(busy)):
            worker, number = busy.pop(ready)
            done[number] = worker.result()
            idle.append(worker)
        while turn in done:
            yield done.pop(turn)
            turn += 1


class WorkerProcess:
    """A process that answers one input after the other, and our end of the line to it.

    Nobody else holds its standard input open, so that it reads an end there, and ends itself, however this process
    ends. Being of another group, it does not hear the Ctrl-C that ends this one.
    """

    def __init__(self, open_work: Callable[[], Any]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from serving.bulk.processes import serve; serve({theirs.fileno()})"],
                cwd=Path(__file__).parents[2],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,
                process_group=0,
            )
        self.connection = Connection(ours.detach())
        self.give(open_work)

    def give(self, what: Any) -> None:
        """Send an input. Raises ProcessError when nobody is there to take it."""
        try:
            self.connection.send(what)
        except OSError:
            raise self._ended() from None

    def result(self) -> Any:
        """What became of the last input. Raises as `in_order` does."""
        try:
            right, result = self.connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        if not right:
            raise result
        return result

    def end(self) -> None:
        """Let the process go; one that is at work is told to leave it."""
        self.connection.close()
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """Stop it at once, whatever it does; from any thread."""
        self._process.kill()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def _ended(self) -> ProcessError:
        try:
            status = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return ProcessError("a process closed its line and goes on")
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        return ProcessError(
            f"a process that worked on a part ended {how}",
            hint="If there was too little memory, take fewer processes.",
        )


def serve(descriptor: int) -> None:
    """What a process does: open what it works with, and answer on a line until nobody asks."""
    threading.Thread(target=_end_with_whoever_asked, daemon=True).start()
    try:
        _answer(Connection(descriptor))
    except (EOFError, OSError):
        sys.exit(0)


def _end_with_whoever_asked() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


def _answer(connection: Connection) -> None:
    open_work = connection.recv()
    work: Callable[[Any], Any] | None = None
    while True:
        given = connection.recv()
        try:
            work = work or open_work()
            outcome: tuple[bool, Any] = (True, work(given))
        except TailorbirdError as error:
            outcome = (False, error)
        except Exception as error:
            outcome = (False, _unforeseen(error))
        connection.send(outcome)


def _unforeseen(error: Exception) -> ProcessError:
    """Where it happened and which kind of error, but not its text, which may hold what is known of a person."""
    places = "".join(traceback.format_tb(error.__traceback__))
    return ProcessError(f"a process failed: {type(error).__name__}\n{places}", hint="This is a fault of ours.")

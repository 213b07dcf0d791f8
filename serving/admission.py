"""Which requests are taken, and where they run: a bounded pool of threads that takes only what it can finish in time.

The count stands at the door, on the event loop, so that a refusal costs no work; the work itself leaves the loop.
Moments are those of `time.perf_counter`, in seconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from math import ceil
from time import perf_counter
from typing import TypeVar

from serving.metrics import INSIDE
from serving.problems import HttpError

T = TypeVar("T")
WAITING_SHARE = 0.5
"""Share of the deadline that may pass before work begins; the rest is for the work, which varies."""
NEWEST_WEIGHT = 0.05
"""Weight of the newest duration in the usual one, so about the last forty count."""


class Lane:
    """Threads for one kind of work; used from one event loop.

    With n before it, a request waits for about (n - threads + 1) times the usual work over the number of threads
    (Little's law). The number that may wait follows from this and the deadline: a fixed one is too many as soon as
    work gets slow, and then every answer is late.
    """

    def __init__(self, name: str, threads: int, max_waiting: int, deadline: float) -> None:
        """`deadline` is in seconds from a request's arrival; `max_waiting` bounds the queue whatever the usual work."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tailorbird-{name}")
        self._threads = threads
        self._max_waiting = max_waiting
        self._deadline = deadline
        self._inside = 0
        self._usual = 0.0
        self._gauge = INSIDE.labels(name)

    def check(self) -> None:
        """Raises HttpError 429 when one more request would wait too long."""
        before = self._inside - self._threads + 1
        wait = before * self._usual / self._threads
        if before > self._max_waiting or (before > 0 and wait > WAITING_SHARE * self._deadline):
            raise _overloaded(wait)

    async def run(self, job: Callable[[float], T], arrived: float) -> T:
        """What a job returns; it is told its deadline and runs in a thread.

        Raises HttpError 429 at once when too many wait, or without starting the job when its deadline has passed:
        whoever asked has given up, and the time belongs to those who have not.
        """
        self.check()
        until = arrived + self._deadline
        self._count(+1)
        try:
            answer, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, _timed, job, until)
        finally:
            self._count(-1)
        self._usual += NEWEST_WEIGHT * (seconds - self._usual)
        return answer

    def _count(self, change: int) -> None:
        self._inside += change
        self._gauge.set(self._inside)

    def shutdown(self) -> None:
        """Finish what was taken, then let the threads go."""
        self._pool.shutdown()


def _timed(job: Callable[[float], T], until: float) -> tuple[T, float]:
    start = perf_counter()
    if start > until:
        raise _overloaded(start - until)
    answer = job(until)
    return answer, perf_counter() - start


def _overloaded(wait: float) -> HttpError:
    return HttpError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "overloaded",
        "too many requests wait for an answer",
        "Come again later; the header Retry-After says in how many seconds.",
        headers={"retry-after": str(max(1, ceil(wait)))},
    )

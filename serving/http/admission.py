"""Which requests are taken, and where they run: a bounded pool of threads that takes only what it can finish in time.

The count stands at the door, on the event loop, so that a refusal costs no work; the work itself leaves the loop.
Moments are those of `time.perf_counter`, in seconds.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http import HTTPStatus
from math import ceil, inf
from time import perf_counter
from typing import TypeVar

from serving.api.problems import HttpError
from serving.metrics import REQUESTS_INSIDE

T = TypeVar("T")
R = TypeVar("R")
WAITING_SHARE = 0.5
"""Share of the deadline that may pass before work begins; the rest is for the work, which varies."""
NEWEST_WEIGHT = 0.05
"""Weight of the newest duration in the usual one, so about the last forty count."""
GIVE_WAY_SECONDS = 0.02
"""Longest wait of a step for those who go first: however many they are, what is long comes to an end."""
LOOK_SECONDS = 0.001
"""Between two looks at whether they are gone."""


class Lane:
    """Threads for one kind of work; used from one event loop.

    With n before it, a request waits for about (n - threads + 1) times the usual work over the number of threads
    (Little's law). The number that may wait follows from this and the deadline: a fixed one is too many as soon as
    work gets slow, and then every answer is late.
    """

    def __init__(self, name: str, threads: int, max_waiting: int, deadline: float, first: "Lane | None" = None) -> None:
        """`deadline` is in seconds from a request's arrival; `max_waiting` bounds the queue whatever the usual work.

        Steps give way to what is inside the lane `first`.
        """
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tailorbird-{name}")
        self._threads = threads
        self._max_waiting = max_waiting
        self._deadline = deadline
        self._first = first
        self._inside = 0
        self._usual = 0.0
        self._gauge = REQUESTS_INSIDE.labels(name)

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
            answer, seconds = await self._in_thread(job, until)
        finally:
            self._count(-1)
        self._usual += NEWEST_WEIGHT * (seconds - self._usual)
        return answer

    async def steps(self, job: Callable[[float], Iterator[T]], arrived: float) -> AsyncGenerator[T, None]:
        """What the iterator gives that a job returns, which is told its deadline; each step runs in a thread.

        No step begins before the last result was taken, so that a slow reader costs a place and no thread. Requests
        take turns. Raises as `run` does before the first step; later ones run however late it is.
        """
        self.check()
        self._count(+1)
        try:
            rest, seconds = await self._in_thread(job, arrived + self._deadline)
            while True:
                await self._give_way()
                step, more = await self._in_thread(lambda _: next(rest, None), inf)
                seconds += more
                if step is None:
                    break
                yield step
        finally:
            self._count(-1)
        self._usual += NEWEST_WEIGHT * (seconds - self._usual)

    async def _give_way(self) -> None:
        end = perf_counter() + GIVE_WAY_SECONDS
        while self._first and self._first._inside and perf_counter() < end:
            await asyncio.sleep(LOOK_SECONDS)

    def _in_thread(self, job: Callable[[float], R], until: float) -> asyncio.Future[tuple[R, float]]:
        """In a thread that knows which request it works for, as this task does."""
        known = copy_context()
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: known.run(_timed, job, until))

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

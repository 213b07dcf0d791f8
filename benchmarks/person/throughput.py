"""How fast a store of very many people takes events and gives records: events per second, milliseconds per read.

Everything is asked of `State` in one process, so that no HTTP is in the figures. Reads are of random people, so that
few come from any cache.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from serving.state.protocol import State, StoredEvent, UserAttributes

LANES = (1, 8, 32)
"""Threads that store one event after the other, at once."""
ITEMS = 100_000
SPAN_MS = 90 * 86_400_000
BEGIN = 1_780_000_000_000


def events(users: int, each: int, seed: int = 0) -> Iterator[StoredEvent]:
    """As many events as `each` a user on average, of random people in the order of time."""
    draw, count = np.random.default_rng(seed), users * each
    who, what = draw.integers(users, size=count), draw.integers(ITEMS, size=count)
    when = np.sort(draw.integers(SPAN_MS, size=count)) + BEGIN
    for number, (user, item, moment) in enumerate(zip(who.tolist(), what.tolist(), when.tolist(), strict=True)):
        yield StoredEvent(f"event-{number:09d}", f"item-{item:06d}", "view", moment, f"user-{user:07d}")


def fill(state: State, users: int, each: int) -> dict[str, Any]:
    """Attributes for everybody, then the events; how fast these were."""
    state.set_attributes(UserAttributes(f"user-{number:07d}", {"country": "pl"}) for number in range(users))
    start = time.perf_counter()
    stored, *_ = state.load(events(users, each))
    seconds = time.perf_counter() - start
    return {"events": stored, "load_seconds": round(seconds, 1), "loaded_per_s": round(stored / seconds)}


def appended_per_s(state: State, users: int, lanes: int, seconds: float, run: str) -> float:
    """Events a second that some threads store one at a time, each waiting for its acknowledgement."""
    until = time.perf_counter() + seconds
    counts = [0] * lanes

    def write(lane: int) -> None:
        draw = np.random.default_rng([lane, 7])
        while time.perf_counter() < until:
            user, number = f"user-{int(draw.integers(users)):07d}", counts[lane]
            item, moment = f"item-{number % ITEMS:06d}", BEGIN + SPAN_MS + number
            state.append([StoredEvent(f"{run}-{lane}-{number}", item, "view", moment, user)])
            counts[lane] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=write, args=(lane,)) for lane in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(counts) / (time.perf_counter() - start), 1)


def read_ms(state: State, users: int, count: int, seed: int = 1) -> dict[str, float]:
    """Milliseconds of reading random people's records, one after the other."""
    draw, times = np.random.default_rng(seed), []
    for user in draw.integers(users, size=count).tolist():
        start = time.perf_counter()
        state.person(f"user-{user:07d}")
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def read_beside_writes_ms(state: State, users: int, count: int, run: str) -> dict[str, float]:
    """The same while another thread stores events all the time."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            appended_per_s(state, users, 1, 0.2, f"{run}-{time.monotonic_ns()}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return read_ms(state, users, count, seed=2)
    finally:
        done.set()
        writer.join()


def measure(
    state: State, users: int, seconds: float, reads: int, told: Callable[[str], None], run: str = "run"
) -> dict[str, Any]:
    """All figures of a store that is filled."""
    told("reading")
    read = read_ms(state, users, reads)
    beside = read_beside_writes_ms(state, users, reads, f"{run}-beside")
    told("storing")
    stored = {str(lanes): appended_per_s(state, users, lanes, seconds, f"{run}-{lanes}") for lanes in LANES}
    return {"read": read, "read_beside_writes": beside, "appended_per_s": stored}

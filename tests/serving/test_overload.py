"""More requests than can be answered: which are refused, how they are told, and that nobody else is held up."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import prometheus_client
import pytest

from features.person import Person
from serving.answers import Answer, Query
from serving.api.problems import HttpError
from serving.desk.desk import Desk
from serving.http.admission import Lane
from serving.metrics import REQUESTS_INSIDE


class Gate:
    """A pipeline's `recommend` that waits until a test lets it go on."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = threading.Semaphore(0)
        self.begun = 0

    def __call__(self, person: Person, query: Query, moment: int) -> Answer:
        self.begun += 1
        self.inside.release()
        assert self.open.wait(20)
        return Answer(())


@pytest.fixture
def gate(stand_in: Any) -> Gate:
    stand_in.recommend = Gate()
    return stand_in.recommend  # type: ignore[no-any-return]


@pytest.fixture
def busy(run_door: Callable[..., str], desk: Desk, gate: Gate) -> Callable[..., str]:
    """Starts a service of one thread that works on one request already; gives its URL."""

    def start(**serving: Any) -> str:
        url = run_door(lambda: desk, threads=1, **serving)
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        crowd(url, 1)
        assert gate.inside.acquire(timeout=10)
        return url

    return start


def crowd(url: str, size: int) -> list[httpx.Response]:
    """Requests at once, each in a thread of its own; the list fills as they are answered."""
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.post(f"{url}/v1/recommend", json={}, timeout=30))

    for _ in range(size):
        threading.Thread(target=ask).start()
    return answers


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 seconds in vain"
        time.sleep(0.01)


def test_a_full_house_is_told_at_once(busy: Callable[..., str], gate: Gate) -> None:
    url = busy(max_waiting=2)
    answers = crowd(url, 6)
    wait_until(lambda: len(answers) == 4)
    assert [one.status_code for one in answers] == [429] * 4
    refused = answers[0]
    assert refused.json()["error"]["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    gate.open.set()
    wait_until(lambda: len(answers) == 6)
    assert [one.status_code for one in answers[4:]] == [200] * 2
    assert 'tailorbird_refused_total{route="/v1/recommend"}' in prometheus_client.generate_latest().decode()


def test_a_full_house_is_ready(busy: Callable[..., str], gate: Gate) -> None:
    url = busy(max_waiting=0)
    assert httpx.get(f"{url}/readyz").status_code == 200
    gate.open.set()


def test_what_writes_holds_up_nobody(run_door: Callable[..., str], desk: Desk, state: Any) -> None:
    begun, done = threading.Event(), threading.Event()

    def append(events: list[Any], _admit: Any) -> list[str]:
        begun.set()
        assert done.wait(20)
        return ["stored"] * len(events)

    state.append = append
    url = run_door(lambda: desk, threads=1, write_threads=1, max_waiting=0)
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    event = {"event_id": "e", "user_id": "ann", "item_id": "i1", "type": "view"}
    writer = threading.Thread(target=lambda: httpx.post(f"{url}/v1/events", json={"events": [event]}))
    writer.start()
    assert begun.wait(10)
    assert httpx.post(f"{url}/v1/recommend", json={}).status_code == 200
    assert httpx.post(f"{url}/v1/events", json={"events": [event]}).status_code == 429
    done.set()
    writer.join()


def test_who_waited_past_the_deadline_is_not_begun(busy: Callable[..., str], gate: Gate) -> None:
    url = busy(max_waiting=8, deadline_ms=50)
    inside = REQUESTS_INSIDE.labels("reads")
    answers = crowd(url, 3)
    wait_until(lambda: inside._value.get() == 4)
    time.sleep(0.1)
    gate.open.set()
    wait_until(lambda: len(answers) == 3)
    assert [one.status_code for one in answers] == [429] * 3
    assert gate.begun == 1


def taken(lane: Lane, count: int) -> int:
    """How many of `count` requests at once a lane takes; each is let go on at the end."""

    async def run() -> int:
        gate = threading.Event()
        asked = [
            asyncio.ensure_future(lane.run(lambda until: gate.wait(10), time.perf_counter())) for _ in range(count)
        ]
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return sum(not isinstance(one, HttpError) for one in answers)

    return asyncio.run(run())


def test_how_many_may_wait_follows_from_how_long_work_takes() -> None:
    lane = Lane("test", threads=2, max_waiting=64, deadline=1.0)
    assert taken(lane, 100) == 66
    for _ in range(40):
        asyncio.run(lane.run(lambda until: time.sleep(0.02), time.perf_counter()))
    slow = taken(lane, 100)
    assert 2 < slow < 66
    lane.shutdown()

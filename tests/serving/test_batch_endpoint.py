"""/v1/recommend/batch: one list a user in the order asked, streamed, and held up by nobody and nothing."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, cast

import httpx
import msgspec
import pytest

from features.errors import StateError
from features.person import Person
from serving.answers import Answer, Query
from serving.api.replies import BatchReply, UserListReply
from serving.api.requests import BatchRequest, RecommendRequest
from serving.bulk import desk as bulk_desk
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.http import admission, wire
from serving.http.admission import Lane
from serving.http.wire import Streamed, json_parts, write_parts

PATH = "/v1/recommend/batch"
SECRET = "what nobody may read in a log"
USERS = ["ann", "nobody", "bob", "ann"]


@pytest.fixture
def known(desk: Desk, client: httpx.Client) -> None:
    """Ann and Bob did something."""
    events = [
        {"event_id": f"b-{user}", "user_id": user, "item_id": item, "type": "buy"}
        for user, item in (("ann", "i3"), ("bob", "i9"))
    ]
    assert client.post("/v1/events", json={"events": events}).status_code == 200


def test_each_user_gets_what_recommend_answers(known: None, client: httpx.Client) -> None:
    given = {"k": 3, "exclude": ["i5"], "context": {"weather": "rain"}}
    users = USERS * wire.PART_ENTRIES
    response = client.post(PATH, json={"user_ids": users, **given})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.headers["x-tailorbird-worker"]
    body = response.json()
    assert set(body) == {"request_id", "bundle", "lists"}
    assert [one.pop("user_id") for one in body["lists"]] == users
    alone = [client.post("/v1/recommend", json={"user_id": user, **given}).json() for user in USERS]
    assert body["lists"] == [{"items": one["items"]} for one in alone] * wire.PART_ENTRIES
    assert body["lists"][0] != body["lists"][2]


def test_lists_can_be_explained_too(known: None, client: httpx.Client) -> None:
    given = {"k": 2, "explain": True, "language": "pl"}
    lists = client.post(PATH, json={"user_ids": USERS, **given}).json()["lists"]
    alone = [client.post("/v1/recommend", json={"user_id": user, **given}).json() for user in USERS]
    assert [one["items"] for one in lists] == [one["items"] for one in alone]
    assert "„Title i3”" in lists[0]["items"][0]["reasons"][0]["sentence"]


def test_a_shortfall_is_told_for_each_user(client: httpx.Client) -> None:
    lists = client.post(PATH, json={"user_ids": ["x", "y"], "k": 40}).json()["lists"]
    assert [one["shortfall"]["wanted"] for one in lists] == [40, 40]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({"user_ids": []}, "user_ids"),
    "missing": ({}, "user_ids"),
    "too many": ({"user_ids": ["u"] * 1_001}, "user_ids"),
    "number": ({"user_ids": ["u", 7]}, "user_ids.1"),
    "k": ({"user_ids": ["u"], "k": 501}, "k"),
    "filter": ({"user_ids": ["u", "v"], "filter": "nothing = 1"}, "filter"),
    "context": ({"user_ids": ["u"], "context": {"mood": "blue"}}, "context.mood"),
    "events": ({"user_ids": ["u"], "events": []}, "events"),
}


@pytest.mark.parametrize(("asked", "field"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_told_before_anything_is_sent(client: httpx.Client, asked: dict[str, Any], field: str) -> None:
    response = client.post(PATH, json=asked)
    assert (response.status_code, response.json()["error"]["field"]) == (400, field)


def test_a_fault_with_one_user_is_that_users_error(desk: Desk, state: Any, caplog: pytest.LogCaptureFixture) -> None:
    read = state.person

    def person(user: str, *given: Any, **more: Any) -> Person:
        if user == "broken":
            raise ValueError(SECRET)
        return cast("Person", read(user, *given, **more))

    state.person = person
    lists = list(recommend_batch(desk, BatchRequest(user_ids=["ann", "broken", "bob"]), "r"))
    assert [len(one.items) for one in lists] == [20, 0, 20]
    assert [one.error and one.error.code for one in lists] == [None, "internal", None]
    assert SECRET not in caplog.text
    assert "broken" not in caplog.text


def test_without_the_store_lists_are_not_personal(desk: Desk, state: Any) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StateError("the store did not answer")

    state.person = fail
    lists = list(recommend_batch(desk, BatchRequest(user_ids=["ann", "bob"]), "r"))
    assert [one.degraded for one in lists] == [["state"]] * 2
    assert lists[0].items == desk.recommend(RecommendRequest(), "r").items


def test_users_whose_turn_comes_too_late_are_told(desk: Desk, stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_desk, "PART_ENTRIES", 2)
    until = time.perf_counter() + 0.2
    recommend = stand_in.recommend

    def slow(person: Person, query: Query, moment: int) -> Answer:
        time.sleep(0.12)
        return cast("Answer", recommend(person, query, moment))

    stand_in.recommend = slow
    lists = list(recommend_batch(desk, BatchRequest(user_ids=["a", "b", "c", "d"]), "r", until))
    assert [one.error and one.error.code for one in lists] == [None, None, "late", "late"]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_parts_make_the_json_of_the_whole(count: int) -> None:
    lists = [UserListReply(user_id=f'"u]}}{number}', items=[]) for number in range(count)]
    frame = BatchReply(request_id="r", bundle="b", lists=[])
    parts = list(json_parts(frame, iter(lists)))
    assert b"".join(parts) == msgspec.json.encode(BatchReply(request_id="r", bundle="b", lists=lists))
    assert len(parts) == -(-count // wire.PART_ENTRIES) + 1


async def drawn(steps: AsyncGenerator[Any, None], count: int) -> list[Any]:
    return [await anext(steps) for _ in range(count)]


def counting(begun: list[int]) -> Iterator[int]:
    for number in range(1_000):
        begun.append(number)
        yield number


def test_nothing_is_made_before_it_is_taken() -> None:
    async def run() -> None:
        lane, begun = Lane("test", 1, 8, 1.0), list[int]()
        steps = lane.steps(lambda _: counting(begun), time.perf_counter())
        assert await drawn(steps, 3) == [0, 1, 2]
        await asyncio.sleep(0.05)
        assert begun == [0, 1, 2]
        await steps.aclose()
        assert await lane.run(lambda _: "next", time.perf_counter()) == "next"
        lane.shutdown()

    asyncio.run(run())


def test_steps_give_way_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "GIVE_WAY_SECONDS", 0.2)

    async def run() -> None:
        first = Lane("first", 1, 8, 60.0)
        lane = Lane("test", 1, 8, 60.0, first=first)
        gate = threading.Event()
        steps = lane.steps(lambda _: counting([]), time.perf_counter())
        start = time.perf_counter()
        await drawn(steps, 1)
        assert time.perf_counter() - start < 0.1
        held = asyncio.ensure_future(first.run(lambda _: gate.wait(20), start))
        await asyncio.sleep(0)
        start = time.perf_counter()
        await drawn(steps, 1)
        assert time.perf_counter() - start >= 0.2
        gate.set()
        await held
        await steps.aclose()
        lane.shutdown()
        first.shutdown()

    asyncio.run(run())


def sent_to(parts: AsyncGenerator[bytes, None], receive: Callable[[], Any]) -> list[Any]:
    """What is written for an answer of these parts."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    asyncio.run(write_parts(send, receive, Streamed(parts)))
    return sent


async def stays() -> Any:
    await asyncio.Event().wait()


async def leaves() -> Any:
    return {"type": "http.disconnect"}


def test_a_reader_that_goes_away_ends_the_work() -> None:
    made: list[int] = []
    closed = threading.Event()

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            for number in range(1_000):
                made.append(number)
                yield b"x"
        finally:
            closed.set()

    sent = sent_to(parts(), leaves)
    assert len(made) < 5
    assert closed.is_set()
    assert "more_body" not in sent[0]
    assert all(one.get("more_body", True) for one in sent)


def test_a_part_that_cannot_be_made_leaves_the_answer_unfinished(caplog: pytest.LogCaptureFixture) -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"{"
        raise ValueError(SECRET)

    sent = sent_to(parts(), stays)
    assert [one.get("body") for one in sent] == [None, b"{"]
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


def test_a_reader_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TAKE_SECONDS", 0.05)

    async def parts() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x"

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    start = time.perf_counter()
    asyncio.run(write_parts(send, stays, Streamed(parts())))
    assert time.perf_counter() - start < 10


def test_a_batch_holds_up_no_other_request(run_door: Callable[..., str], desk: Desk, stand_in: Any) -> None:
    recommend, inside, gate = stand_in.recommend, threading.Event(), threading.Event()

    def slow(person: Person, query: Query, moment: int) -> Answer:
        if query.k == 7:
            inside.set()
            assert gate.wait(20)
        return cast("Answer", recommend(person, query, moment))

    stand_in.recommend = slow
    url = run_door(lambda: desk, threads=1, max_waiting=0)
    while httpx.get(f"{url}/readyz").status_code != 200:
        time.sleep(0.01)
    got: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: got.append(httpx.post(f"{url}{PATH}", json={"user_ids": USERS, "k": 7}, timeout=30))
    )
    asking.start()
    assert inside.wait(10)
    assert httpx.post(f"{url}/v1/recommend", json={}).status_code == 200
    gate.set()
    asking.join()
    assert [one["user_id"] for one in json.loads(got[0].content)["lists"]] == USERS

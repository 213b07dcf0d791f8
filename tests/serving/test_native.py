"""BentoML's native endpoints answer as the door does: random requests to two applications in one process."""

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

import bentoml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import StateError
from serving.access.guard import Guard
from serving.access.keys import new_key
from serving.api.endpoints import ENDPOINTS
from serving.api.problems import HttpError
from serving.desk.desk import Desk
from serving.http.admission import Lane
from serving.http.door import Door
from serving.http.reception import Reception
from serving.http.wire import Application
from serving.lifecycle.worker import Worker
from serving.service import Tailorbird
from serving.service_native import Native
from serving.settings import ServingConfig
from serving.state import open_key_store
from serving.state.audit_log import Deed

PATHS = [endpoint.path for endpoint in ENDPOINTS]
COMPARED = ("content-type", "content-length", "cache-control", "x-content-type-options", "x-tailorbird-worker",
            "retry-after", "www-authenticate")  # fmt: skip


class Said(NamedTuple):
    """What of an answer must be the same."""

    status: int
    headers: dict[str, str]
    body: Any


class Both:
    """The door and BentoML's own application, which ask one reception, on a loop of their own."""

    def __init__(self, reception: Reception) -> None:
        class Twin(Native):
            pass

        Twin.reception = reception
        native = bentoml.service(Twin, name="twin", metrics={"enabled": False}).to_asgi()  # its metrics exist but once
        self.applications: tuple[Application, Application] = (Door(native, reception), native)
        self.loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._living = self.loop.create_task(self._live())
        self.run(self._wait_until_ready(reception))

    def run(self, task: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(task)

    def ask(self, path: str, body: bytes, key: str | None = None) -> tuple[Said, Said]:
        door, native = (self.run(_ask(application, path, body, key)) for application in self.applications)
        return door, native

    def close(self) -> None:
        self.loop.call_soon(self._stop.set)
        self.run(self._living)
        self.loop.close()

    async def _live(self) -> None:
        messages = iter(["startup", "shutdown"])

        async def receive() -> dict[str, Any]:
            kind = next(messages)
            if kind == "shutdown":
                await self._stop.wait()
            return {"type": f"lifespan.{kind}"}

        async def send(message: Any) -> None:
            assert message["type"].endswith(".complete"), message

        await self.applications[0]({"type": "lifespan", "state": {}}, receive, send)

    async def _wait_until_ready(self, reception: Reception) -> None:
        for _ in range(1000):
            await asyncio.sleep(0.01)
            with suppress(HttpError):
                await reception.readiness()
                return
        pytest.fail("the reception did not open in 10 seconds")


async def _ask(application: Application, path: str, body: bytes, key: str | None) -> Said:
    sent: list[Any] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(asked, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"test"), (b"content-type", b"application/json")]
    headers += [(b"authorization", f"Bearer {key}".encode())] if key else []
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"root_path": "", "scheme": "http", "query_string": b"", "headers": headers, "server": ("test", 80)}
    await application({**scope, "client": ("test", 1), "state": {}}, receive, send)
    given_headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    content = _content(b"".join(message.get("body", b"") for message in sent[1:]), given_headers["content-type"])
    compared = COMPARED if given_headers["content-type"] == "application/json" else ("content-type",)
    return Said(sent[0]["status"], {name: given_headers.get(name, "") for name in compared}, content)


def _content(body: bytes, media_type: str) -> Any:
    """What two answers to one question have in common: not the name of each, nor that of a receipt."""
    if media_type == "application/zip":
        return sorted(zipfile.ZipFile(io.BytesIO(body)).namelist())
    content = json.loads(body)
    (content.get("error") or content).pop("request_id")
    for receipt in [*content.get("receipts", []), *([content["receipt"]] if "receipt" in content else [])]:
        receipt.pop("receipt_id")
    return content


@pytest.fixture
def both(worker: Worker) -> Iterator[Both]:
    """Both, with a deadline that a slow test machine keeps."""
    made = Both(Reception(lambda: worker, ServingConfig(deadline_ms=20_000)))
    yield made
    made.close()


ITEM = st.sampled_from([f"i{number}" for number in range(32)]) | st.text(max_size=6)
MOMENT = st.sampled_from(["2025-06-01T12:00:00Z", "2025-06-01T12:00:00", "2999-01-01T00:00:00+01:00", 7, None])
EVENT = st.fixed_dictionaries(
    {"item_id": ITEM, "type": st.sampled_from(["view", "buy", "shown", "dance"])},
    optional={
        "event_id": st.text(min_size=1, max_size=3) | st.integers(),
        "user_id": st.sampled_from(["ann", "bob", ""]),
        "time": MOMENT,
        "value": st.floats(allow_nan=False) | st.text(max_size=2),
        "context": st.dictionaries(st.sampled_from(["weather", "device", "mood"]), st.text(max_size=3), max_size=2),
    },
)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.sampled_from(["ann", "bob", "", 7, None]),
        "user_ids": st.lists(st.sampled_from(["ann", "bob", "cat"]), max_size=5) | st.sampled_from([[7], "ann"]),
        "anonymous_id": st.sampled_from(["cookie", None]),
        "k": st.integers(-1, 40) | st.sampled_from(["5", 501, True]),
        "newest": st.integers(0, 20),
        "exclude": st.lists(ITEM, max_size=3),
        "item_ids": st.lists(ITEM, max_size=4),
        "kind": st.sampled_from(["similar", "goes_with", "next", "odd"]),
        "explain": st.booleans(),
        "filter": st.sampled_from(["", "price <", "nothing = 1", "not seen"]),
        "context": st.fixed_dictionaries({}, optional={"time": MOMENT, "weather": st.text(max_size=3)}),
        "events": st.lists(EVENT, max_size=3),
        "surprise": st.none(),
    },
)
FIELDS = {endpoint.path: set(endpoint.request.model_fields) | {"surprise"} for endpoint in ENDPOINTS}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), request=REQUEST, sloppy=st.booleans())
def test_random_requests_are_answered_alike(both: Both, path: str, request: dict[str, Any], sloppy: bool) -> None:
    """Fields that the endpoint has, and sometimes others; what is stored is stored before both are compared."""
    asked = request if sloppy else {name: value for name, value in request.items() if name in FIELDS[path]}
    body = json.dumps(asked).encode()
    both.ask(path, body)
    door, native = both.ask(path, body)
    assert door == native
    assert door.status in (200, 400)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"k": NaN}', b"x" * 1_000_001])
def test_bodies_that_are_none_are_refused_alike(both: Both, body: bytes) -> None:
    for path in PATHS:
        door, native = both.ask(path, body)
        assert door == native
        assert door.status == (413 if len(body) > 1_000_000 else 400)


def test_an_outage_is_told_alike(both: Both, state: Any) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StateError("the store did not answer: disk I/O error")

    state.append = state.person = fail
    event = {"event_id": "e", "user_id": "ann", "item_id": "i1", "type": "view"}
    door, native = both.ask("/v1/events", json.dumps({"events": [event]}).encode())
    assert door == native
    assert (door.status, door.headers["retry-after"]) == (503, "1")
    door, native = both.ask("/v1/recommend", b'{"user_id": "ann"}')
    assert door == native
    assert door.body["degraded"] == ["state"]


def test_a_full_house_is_told_alike(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(lane: Lane) -> None:
        raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, "overloaded", "full", headers={"retry-after": "3"})

    monkeypatch.setattr(Lane, "check", full)
    door, native = both.ask("/v1/recommend", b"{}")
    assert door == native
    assert (door.status, door.headers["retry-after"]) == (429, "3")


def test_who_may_not_ask_is_told_alike(desk: Desk, new_worker: Callable[..., Worker]) -> None:
    """Whatever stands in front, nobody gets by the guard."""
    store = open_key_store("sqlite://:memory:")
    keys = {endpoint.scope: new_key([endpoint.scope], 0) for endpoint in ENDPOINTS}
    for key in keys.values():
        store.add(key.stored, Deed("keys_create", "root", 0))
    guarded = new_worker(desk, Guard(store))
    both = Both(Reception(lambda: guarded, ServingConfig(deadline_ms=20_000)))
    for endpoint in ENDPOINTS:
        wrong = next(key for scope, key in keys.items() if scope != endpoint.scope)
        for sent, status in ((None, 401), (new_key(["admin"], 0).text, 401), (wrong.text, 403)):
            door, native = both.ask(endpoint.path, b"{}", sent)
            assert door == native
            assert door.status == status
        door, native = both.ask(endpoint.path, b"", keys[endpoint.scope].text)
        assert (door, door.status) == (native, 400)
    both.close()


def test_the_service_has_every_endpoint_natively() -> None:
    service: Any = Tailorbird
    assert {route["route"] for route in service.schema()["routes"]} == set(PATHS)
    assert set(PATHS) < set(service.openapi_spec.asdict()["paths"])

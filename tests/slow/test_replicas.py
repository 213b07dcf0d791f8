"""Two replicas as two machines run them: a registry and one Redis between them, and nothing else in common.

Each is `tailorbird serve` with a folder for temporary files of its own, so that no lock of one machine helps the other.
The last test kills one of them under load.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from benchmarks.person.redis_server import DURABLE, redis_program, running_redis
from serving.items.merged_files import merges_of
from serving.lifecycle.registry import promote, rollback
from serving.manifest import MANIFEST, renew_manifest
from serving.state import open_state

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SERVABLE_SECONDS = 1.0
FOLLOWED_SECONDS = 10.0
"""Within which both follow a rollback, on a machine that does other work too."""
TRIED_SECONDS = 60.0
"""Within which both follow a promotion: each tries the bundle out first, in time that nobody else wants."""
MERGE_SECONDS = 60.0
MERGE_ITEMS = 20
WRITERS = 2
"""Of events, for each replica."""
BATCH = 3
LOAD_SECONDS = 1.0
"""Before and after the kill."""


class Shared(NamedTuple):
    """What both have in common."""

    folder: Path
    state: str

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    def bundle(self, name: str) -> Path:
        return self.folder / name


class Replica(NamedTuple):
    """One of them, and a connection to it."""

    url: str
    server: "subprocess.Popen[bytes]"
    client: httpx.Client

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """What it answers, and it must."""
        response = self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def shown(self, **asked: Any) -> list[str]:
        return [one["item_id"] for one in self.post("/v1/recommend", **{"k": 500, **asked})["items"]]

    def bundle(self) -> str:
        return str(self.client.get("/readyz").json()["bundle"])


@pytest.fixture(scope="module")
def shared(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A registry of two bundles, and a store that loses nothing of what it acknowledges."""
    program = redis_program()
    if program is None:
        pytest.skip("no redis-server is installed: replicas stay untested (tests/system-packages.sh)")
    folder = tmp_path_factory.mktemp("shared")
    for name in ("first", "second"):
        shutil.copytree(trained.bundle, folder / name)
        manifest = folder / name / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "note": name}))
        renew_manifest(folder / name)
    granted = {"unknown": "granted", "basis": "a test"}
    serving = {
        "merge_items": MERGE_ITEMS,
        "deadline_ms": 10_000,  # nothing is refused for lateness on a busy machine: what fails here must have failed
        "write_deadline_ms": 10_000,
        "consent": {"personalize": granted, "measure": granted},
    }
    (folder / "serving.yaml").write_text(yaml.safe_dump({"serving": serving}))
    with running_redis(program, folder, *DURABLE) as url:
        made = Shared(folder, url)
        promote(made.bundle("first"), made.registry)
        yield made


@pytest.fixture(scope="module")
def start(
    shared: Shared, until_ready: Callable[..., None], new_port: Callable[[], int]
) -> Iterator[Callable[..., list[Replica]]]:
    """Starts replicas as a user does, one for each name, and waits until all are ready."""
    running: list[Replica] = []

    def all_of(*names: str) -> list[Replica]:
        begun = [_begun(shared, shared.folder / name, new_port()) for name in names]
        running.extend(begun)
        for one in begun:
            until_ready(one.url, one.server)
        return begun

    yield all_of
    for one in running:
        one.client.close()
        one.server.terminate()
    for one in running:
        one.server.wait(30)


def _begun(shared: Shared, machine: Path, port: int) -> Replica:
    machine.mkdir()
    command = [sys.executable, "-m", "tailorbird", "serve", "--port", str(port)]
    command += ["--registry", str(shared.registry), "--state", shared.state]
    command += ["--config", str(shared.folder / "serving.yaml")]
    environment = {**os.environ, "BENTOML_HOME": str(machine / "bentoml"), "TMPDIR": str(machine)}
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    return Replica(url, server, httpx.Client(base_url=url, timeout=30))


@pytest.fixture(scope="module")
def both(start: Callable[..., list[Replica]]) -> list[Replica]:
    return start("one", "other")


def until(true: Callable[[], bool], seconds: float) -> None:
    """Returns once something is so; fails when that takes longer."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds
        time.sleep(0.01)


def event(event_id: str, user: str, item: str, kind: str = "view") -> dict[str, Any]:
    return {"event_id": event_id, "user_id": user, "item_id": item, "type": kind}


def upsert(item: str) -> dict[str, Any]:
    return {"item_id": item, "attributes": {"title": f"Title {item}"}}


def test_what_one_is_told_the_other_knows_in_its_next_answer(both: list[Replica]) -> None:
    """A purchase keeps its item away, and an event is known again, whoever took it."""
    for turn in range(6):
        tell, ask = both[turn % 2], both[1 - turn % 2]
        item = ask.shown(user_id="newcomer")[0]
        bought = event(f"bought-{turn}", "newcomer", item, "purchase")
        assert tell.post("/v1/events", events=[bought])["stored"] == 1
        assert item not in ask.shown(user_id="newcomer")
        assert ask.post("/v1/events", events=[bought])["duplicate"] == 1
        assert ask.post("/v1/profile", user_id="newcomer")["items_taken"] == turn + 1


def test_both_give_the_same_answer(both: list[Replica]) -> None:
    asked = {"user_id": "newcomer", "k": 40, "context": {"time": "2026-06-01T12:00:00Z"}}
    answers = [one.post("/v1/recommend", **asked)["items"] for one in both]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 40


def test_the_next_page_may_come_from_the_other(both: list[Replica]) -> None:
    first = both[0].post("/v1/recommend", user_id="newcomer", k=10)
    known = {one["item_id"] for one in first["items"]}

    def next_page() -> httpx.Response:
        asked = {"user_id": "newcomer", "k": 10, "after": first["request_id"]}
        return both[1].client.post("/v1/recommend", json=asked)

    until(lambda: next_page().status_code == 200, SERVABLE_SECONDS)
    assert not known & {one["item_id"] for one in next_page().json()["items"]}


def test_items_come_and_go_on_both_within_a_second(both: list[Replica]) -> None:
    for turn in range(4):
        tell, other = both[turn % 2], both[1 - turn % 2]
        item = f"quick-{turn}"
        assert tell.post("/v1/items", items=[upsert(item)])["stored"] == 1
        until(lambda: all(item in one.shown() for one in both), SERVABLE_SECONDS)  # noqa: B023
        assert other.post("/v1/items", items=[{"item_id": item, "delete": True}])["stored"] == 1
        until(lambda: not any(item in one.shown() for one in both), SERVABLE_SECONDS)  # noqa: B023


def test_one_merges_the_changes_of_both(shared: Shared, both: list[Replica]) -> None:
    """Both find that a merge is due; the lock beside the bundle lets one begin, and both map what it wrote."""
    many = [f"many-{place}" for place in range(2 * MERGE_ITEMS)]
    for one, half in zip(both, (many[::2], many[1::2]), strict=True):
        assert one.post("/v1/items", items=[upsert(item) for item in half])["stored"] == MERGE_ITEMS

    def merged(one: Replica) -> bool:
        return "tailorbird_items_changed 0.0" in one.client.get("/metrics").text

    until(lambda: bool(merges_of(shared.bundle("first"))) and all(merged(one) for one in both), MERGE_SECONDS)
    for one in both:
        known = one.post("/v1/rank", item_ids=many)["items"]
        assert {item["item_id"] for item in known} == set(many)


def test_both_follow_the_registry_forth_and_back(shared: Shared, both: list[Replica]) -> None:
    first = both[0].bundle()
    pointer = promote(shared.bundle("second"), shared.registry)
    until(lambda: all(one.bundle() != first for one in both), TRIED_SECONDS)
    assert len({one.bundle() for one in both}) == 1
    assert rollback(shared.registry).live == pointer.previous
    until(lambda: all(one.bundle() == first for one in both), FOLLOWED_SECONDS)
    for one in both:
        assert one.post("/v1/recommend", user_id="newcomer", k=5)["bundle"] == first


class Load:
    """Writers who send each batch until somebody acknowledges it, first to their own replica; and those who ask one."""

    def __init__(self, dying: Replica, going_on: Replica, items: list[str]) -> None:
        self.acknowledged: list[str] = []
        """Ids of events."""
        self.taken_over = 0
        """Batches that the dying one did not acknowledge and the other did."""
        self.wrong: list[str] = []
        """What the one that goes on should not have said."""
        self.answers = 0
        self._items = items
        self._ended = threading.Event()
        ways = [(dying, going_on), (going_on, going_on)]
        self._threads = [threading.Thread(target=self._ask, args=(going_on,))]
        for place in range(WRITERS * len(ways)):
            self._threads.append(threading.Thread(target=self._write, args=(f"writer-{place}", *ways[place % 2])))

    def _write(self, name: str, first: Replica, then: Replica) -> None:
        number, target = 0, first
        while not self._ended.is_set():
            ids = [f"{name}/{number}/{place}" for place in range(BATCH)]
            events = [event(one, name, self._items[number % len(self._items)]) for one in ids]
            if not self._acknowledged(target, then, events):
                target = then
                self.taken_over += 1
                assert self._acknowledged(then, then, events)
            self.acknowledged += ids
            number += 1

    def _acknowledged(self, target: Replica, going_on: Replica, events: list[dict[str, Any]]) -> bool:
        try:
            response = target.client.post("/v1/events", json={"events": events})
        except httpx.TransportError as error:
            if target is going_on:
                self.wrong.append(repr(error))
            return False
        told = response.json()
        whole = response.status_code == 200 and told["stored"] + told["duplicate"] == len(events)
        if target is going_on and not whole:
            self.wrong.append(response.text[:300])
        return whole

    def _ask(self, target: Replica) -> None:
        while not self._ended.is_set():
            response = target.client.post("/v1/recommend", json={"user_id": "newcomer", "k": 20})
            self.answers += 1
            if response.status_code != 200 or len(response.json()["items"]) != 20 or "degraded" in response.json():
                self.wrong.append(response.text[:300])

    def __enter__(self) -> "Load":
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for one in self._threads:
            one.join()


def kill(replica: Replica) -> None:
    """As a machine goes: every process of it at once. A worker alone outlives the process that started it."""
    pid = replica.server.pid
    workers = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for one in (pid, *workers):
        os.kill(one, signal.SIGKILL)
    replica.server.wait(10)


def test_one_is_killed_under_load_and_nothing_is_lost(
    shared: Shared, both: list[Replica], start: Callable[..., list[Replica]]
) -> None:
    """What was acknowledged is there once; the other answers each of its requests; a third machine takes the place."""
    dying, going_on = both
    with Load(dying, going_on, going_on.shown()[:20]) as load:
        time.sleep(LOAD_SECONDS)
        before = len(load.acknowledged)
        kill(dying)
        time.sleep(LOAD_SECONDS)
    assert load.wrong == []
    assert load.taken_over == WRITERS
    assert 0 < before < len(load.acknowledged)
    assert load.answers > 0
    with closing(open_state(shared.state)) as state:
        writers = {one.partition("/")[0] for one in load.acknowledged}
        held = Counter(one["event_id"] for user in writers for one in state.export(user)["events"])
    assert held == Counter(load.acknowledged)

    (third,) = start("third")
    user = min(writers)
    asked = {"user_id": user, "k": 20, "context": {"time": "2030-06-01T12:00:00Z"}}
    for path, part, body in (("/v1/profile", "events", {"user_id": user}), ("/v1/recommend", "items", asked)):
        assert third.post(path, **body)[part] == going_on.post(path, **body)[part]

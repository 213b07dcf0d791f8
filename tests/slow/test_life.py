"""The life of real processes: a stop that answers what was begun, a worker that is killed, a store that goes away."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from serving.desk.breaker import PAUSE_SECONDS
from serving.lifecycle.launch import launch

pytestmark = pytest.mark.slow

CROWD = 12


class Alone(NamedTuple):
    """A service of one worker, and the folder of its store."""

    url: str
    server: "subprocess.Popen[bytes]"
    folder: Path


@pytest.fixture(scope="module")
def alone(
    trained: Any, port: int, tmp_path_factory: pytest.TempPathFactory, until_ready: Callable[..., None]
) -> Iterator[Alone]:
    """One for all tests, as starting takes long; the last test stops it."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "serving.yaml").write_text(
        "serving: {deadline_ms: 5000, consent: {personalize: {unknown: granted, basis: a test}}}\n"
    )
    url = f"http://127.0.0.1:{port}"
    config, state = folder / "serving.yaml", f"sqlite:///{folder}/state.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(folder / "bentoml"))
        patch.delenv("OMP_NUM_THREADS", raising=False)
        server = launch(trained.bundle, state=state, config=config, port=port, workers=1)
    try:
        until_ready(url, server)
        yield Alone(url, server, folder)
    finally:
        server.terminate()
        server.wait(20)


def worker_of(server: "subprocess.Popen[bytes]") -> int:
    """The process that answers, a child of the one that was started."""
    children = [int(one) for one in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
    command = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    (worker,) = [child for child, line in command.items() if b"_bentoml_impl" in line and b"worker" in line]
    return worker


def test_a_worker_computes_each_request_on_one_thread(alone: Alone) -> None:
    environment = Path(f"/proc/{worker_of(alone.server)}/environ").read_bytes().split(b"\0")
    assert b"OMP_NUM_THREADS=1" in environment


def test_a_killed_worker_is_replaced_and_nothing_stored_is_lost(alone: Alone) -> None:
    event = {"event_id": "e1", "user_id": "ann", "item_id": "i00001", "type": "view"}
    assert httpx.post(f"{alone.url}/v1/events", json={"events": [event]}, timeout=30).json()["stored"] == 1
    name = httpx.get(f"{alone.url}/readyz").headers["x-tailorbird-worker"]
    os.kill(worker_of(alone.server), signal.SIGKILL)
    ready = wait_for(alone.url, lambda response: response.headers["x-tailorbird-worker"] != name)
    assert ready.json()["ready"]
    known = httpx.post(f"{alone.url}/v1/profile", json={"user_id": "ann"}, timeout=30).json()["events"]
    assert [one["item_id"] for one in known] == ["i00001"]


def test_a_store_that_goes_away_and_comes_back(alone: Alone) -> None:
    def recommend() -> Any:
        return httpx.post(f"{alone.url}/v1/recommend", json={"user_id": "ann", "k": 3}, timeout=30).json()

    assert "degraded" not in recommend()
    store = alone.folder / "state.db"
    store.rename(alone.folder / "elsewhere.db")
    assert recommend()["degraded"] == ["state"]
    assert len(recommend()["items"]) == 3
    assert httpx.get(f"{alone.url}/readyz").json()["degraded"] == ["state"]
    (alone.folder / "elsewhere.db").rename(store)
    wait_for(alone.url, lambda response: "degraded" not in response.json())
    time.sleep(2 * PAUSE_SECONDS)
    assert "degraded" not in recommend()


def test_a_client_of_bentoml_is_answered(alone: Alone) -> None:
    """In a process of its own: the client leaves its temporary folder to the collector."""
    code = (
        "import bentoml, sys; client = bentoml.SyncHTTPClient(sys.argv[1]);"
        "print(len(client.recommend({'k': 3})['items']), client.profile({'user_id': 'bob'})['events'])"
    )
    told = subprocess.run([sys.executable, "-c", code, alone.url], capture_output=True, text=True, check=False)
    assert told.stdout.split() == ["3", "[]"], told.stderr


def test_a_stop_answers_what_was_begun(alone: Alone) -> None:
    """Large answers on open connections; the signal comes while they are being made."""
    answers: list[tuple[int, int]] = []
    begun = threading.Barrier(CROWD + 1)

    def ask() -> None:
        with httpx.Client(base_url=alone.url, timeout=30) as client:
            client.get("/livez")
            begun.wait()
            response = client.post("/v1/recommend", json={"k": 100, "explain": True})
            answers.append((response.status_code, len(response.json()["items"])))

    crowd = [threading.Thread(target=ask) for _ in range(CROWD)]
    for one in crowd:
        one.start()
    begun.wait()
    time.sleep(0.03)
    alone.server.terminate()
    for one in crowd:
        one.join()
    assert [status for status, _ in answers] == [200] * CROWD
    assert all(items > 0 for _, items in answers)
    assert alone.server.wait(20) == 0


def wait_for(url: str, right: Callable[[httpx.Response], bool]) -> httpx.Response:
    """The first readiness that is as a test wants it, within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            response = httpx.get(f"{url}/readyz", timeout=5)
            if response.status_code == 200 and right(response):
                return response
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail("waited for a minute in vain")

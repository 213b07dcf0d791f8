"""kill -9 of the real service while clients post events over HTTP: what was acknowledged is there, once."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving.lifecycle.launch import launch
from serving.state import open_state

pytestmark = pytest.mark.slow

KILLS = 2
CLIENTS = 4
BATCH = 20
SECONDS = 1.0
"""Between the first acknowledgement and the kill."""


class Client(threading.Thread):
    """Posts batches until told to stop; a batch without an answer is posted again, as an at-least-once client does."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(daemon=True)
        self._url, self.user = url, f"user {number}"
        self.acknowledged: list[str] = []
        self.posted: set[str] = set()
        self.stopping = threading.Event()

    def run(self) -> None:
        batch = 0
        with httpx.Client(base_url=self._url, timeout=5) as http:
            while not self.stopping.is_set():
                ids = [f"{self.user}/{batch}/{place}" for place in range(BATCH)]
                self.posted.update(ids)
                try:
                    answer = http.post("/v1/events", json={"events": [self._event(one) for one in ids]})
                except httpx.HTTPError:
                    time.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    statuses = {one["status"] for one in answer.json()["results"]}
                    assert statuses in ({"stored"}, {"duplicate"}), "a batch is stored whole or not at all"
                    self.acknowledged += ids
                    batch += 1

    def _event(self, event_id: str) -> dict[str, Any]:
        return {"event_id": event_id, "user_id": self.user, "item_id": "i00001", "type": "view"}


def test_a_killed_service_loses_no_acknowledged_event_and_doubles_none(
    trained: Any, port: int, until_ready: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "BENTOML_HOME", str(tmp_path / "bentoml"))
    config = tmp_path / "serving.yaml"
    config.write_text("serving: {workers: 2, consent: {personalize: {unknown: granted, basis: a test}}}")
    state, url = f"sqlite:///{tmp_path}/state.db", f"http://127.0.0.1:{port}"
    clients = [Client(url, number) for number in range(CLIENTS)]
    for kill in range(KILLS + 1):
        server = launch(trained.bundle, state=state, config=config, port=port)
        until_ready(url, server)
        if kill == 0:
            for client in clients:
                client.start()
        before = sum(len(one.acknowledged) for one in clients)
        while sum(len(one.acknowledged) for one in clients) == before:
            assert all(one.is_alive() for one in clients)
            time.sleep(0.01)
        time.sleep(SECONDS)
        if kill < KILLS:
            workers = psutil.Process(server.pid).children(recursive=True)
            for process in (psutil.Process(server.pid), *workers):
                process.kill()
            server.wait(20)
            psutil.wait_procs(workers, 20)
    for client in clients:
        client.stopping.set()
        client.join(20)
    server.terminate()
    assert server.wait(20) == 0
    with closing(open_state(state)) as store:
        for client in clients:
            held = Counter(one["event_id"] for one in store.export(client.user)["events"])
            assert max(held.values()) == 1
            assert set(client.acknowledged) <= set(held) <= client.posted
            assert len(client.acknowledged) == len(set(client.acknowledged)) >= BATCH * KILLS

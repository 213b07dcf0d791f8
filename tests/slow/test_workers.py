"""Two real workers behind one port: what one of them is told, the other knows in its very next answer."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.access.keys import new_key
from serving.access.scopes import SCOPES
from serving.state import open_key_store
from serving.state.audit_log import Deed

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60
CONNECTIONS = 20
SCHEMATHESIS = Path(__file__).parents[1] / "schemathesis.toml"


class Connections:
    """Connections held open to each of two workers."""

    def __init__(self, url: str) -> None:
        self.by_worker: dict[str, httpx.Client] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.by_worker) < 2 and time.monotonic() < deadline:
            crowd = [httpx.Client(base_url=url, timeout=30) for _ in range(CONNECTIONS)]
            for client in crowd:
                name = client.get("/readyz").headers["x-tailorbird-worker"]
                if self.by_worker.setdefault(name, client) is not client:
                    client.close()

    def close(self) -> None:
        for client in self.by_worker.values():
            client.close()


@pytest.fixture(scope="module")
def both(served: Any) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    connections = Connections(served.url)
    clients = list(connections.by_worker.values())
    assert len(clients) == 2, f"only these workers ever answered: {list(connections.by_worker)}"
    yield clients[0], clients[1]
    connections.close()


def post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def items(client: httpx.Client, **asked: Any) -> list[str]:
    return [item["item_id"] for item in post(client, "/v1/recommend", asked)["items"]]


def test_each_connection_stays_with_its_worker(both: tuple[httpx.Client, httpx.Client]) -> None:
    names = [[client.get("/readyz").headers["x-tailorbird-worker"] for _ in range(3)] for client in both]
    assert len(set(names[0])) == len(set(names[1])) == 1
    assert names[0] != names[1]


def test_an_event_told_to_one_worker_changes_the_next_answer_of_the_other(
    both: tuple[httpx.Client, httpx.Client],
) -> None:
    """A purchase keeps its item away for a while; the other worker must know, each time, at once."""
    for turn in range(6):
        tell, ask = both[turn % 2], both[1 - turn % 2]
        before = items(ask, user_id="newcomer", k=5)
        event = {
            "event_id": f"bought-{turn}",
            "user_id": "newcomer",
            "item_id": before[0],
            "type": "purchase",
        }
        assert post(tell, "/v1/events", {"events": [event]})["stored"] == 1
        assert before[0] not in items(ask, user_id="newcomer", k=500)
        assert post(ask, "/v1/events", {"events": [event]})["duplicate"] == 1
        assert post(ask, "/v1/profile", {"user_id": "newcomer"})["items_taken"] == turn + 1


def test_both_give_the_same_answer(served: Any, both: tuple[httpx.Client, httpx.Client]) -> None:
    asked = {"user_id": served.user, "k": 40, "context": {"time": "2026-06-01T12:00:00Z"}}
    answers = [post(client, "/v1/recommend", asked)["items"] for client in both]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 40


def test_bad_input_does_not_bring_a_worker_down(both: tuple[httpx.Client, httpx.Client]) -> None:
    for client in both:
        for body in (b"{", b"\xff\xfe", b'{"k": NaN}', b"x" * 10_000_000, b'{"user_id": 7}'):
            response = client.post("/v1/recommend", content=body)
            assert response.status_code == (413 if len(body) > 1_000_000 else 400)
            assert set(response.json()["error"]) >= {"code", "message", "request_id"}
        assert len(items(client, user_id="stranger")) == 20


def test_health_and_metrics_cover_all_workers(both: tuple[httpx.Client, httpx.Client]) -> None:
    def answered(client: httpx.Client) -> float:
        line = 'tailorbird_request_seconds_count{route="/v1/similar",status="400"} '
        found = [one for one in client.get("/metrics").text.splitlines() if one.startswith(line)]
        return float(found[0].removeprefix(line)) if found else 0.0

    before = answered(both[0])
    for client in both:
        assert client.get("/livez").status_code == 200
        assert client.post("/v1/similar", json={}).status_code == 400
    assert answered(both[0]) == answered(both[1]) == before + 2


def test_every_answer_is_as_documented(served: Any, tmp_path: Path) -> None:
    """Schemathesis on the live service: no fault of ours, and no answer that its OpenAPI document does not tell of."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(SCHEMATHESIS), "run"]
    command += [f"{served.url}/openapi.json", "--max-examples", "25", "--seed", "1", "--phases", "coverage,fuzzing"]
    command += ["--header", f"Authorization: Bearer {first_key(served)}"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert told.returncode == 0, told.stdout


def first_key(served: Any) -> str:
    """A key for everything; from now on the service answers nobody without, so that this stands last."""
    key, store = new_key(SCOPES, 0), open_key_store(served.state)
    store.add(key.stored, Deed("keys_create", "root", 0))
    store.close()
    _until(served, 401)
    return key.text


def _until(served: Any, status: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if {httpx.post(f"{served.url}/v1/recommend", json={}).status_code for _ in range(20)} == {status}:
            return
        time.sleep(0.1)
    pytest.fail(f"the workers do not answer with {status}")

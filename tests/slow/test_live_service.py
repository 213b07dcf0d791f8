"""Two real workers whose items change and whose bundle is swapped while they answer: nothing fails, nothing is lost."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from serving.items.merged_files import merges_of
from serving.lifecycle.launch import launch
from serving.lifecycle.registry import promote, rollback
from serving.manifest import MANIFEST, renew_manifest

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60
SERVABLE_SECONDS = 1.0
MERGE_ITEMS = 20
CONNECTIONS = 20


class Live(NamedTuple):
    """A service of two workers that follows a registry of two bundles."""

    url: str
    folder: Path

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    def bundle(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def live(trained: Any, port: int, until_ready: Callable[..., None], tmp_path_factory: Any) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    for name in ("first", "second", "bad"):
        shutil.copytree(trained.bundle, folder / name)
        manifest = folder / name / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "note": name}))
        renew_manifest(folder / name)
    config = folder / "serving.yaml"
    consent = {"personalize": {"unknown": "granted", "basis": "a test"}}
    config.write_text(yaml.safe_dump({"serving": {"workers": 2, "merge_items": MERGE_ITEMS, "consent": consent}}))
    made = Live(f"http://127.0.0.1:{port}", folder)
    promote(made.bundle("first"), made.registry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "BENTOML_HOME", str(folder / "bentoml"))
        server = launch(registry=made.registry, state=f"sqlite:///{folder}/state.db", config=config, port=port)
    try:
        until_ready(made.url, server)
        yield made
    finally:
        server.terminate()
        assert server.wait(20) == 0


@pytest.fixture(scope="module")
def workers(live: Live) -> Iterator[list[httpx.Client]]:
    """A connection held open to each worker."""
    by_name: dict[str, httpx.Client] = {}
    crowd: list[httpx.Client] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(by_name) < 2 and time.monotonic() < deadline:
        for client in (httpx.Client(base_url=live.url, timeout=30) for _ in range(CONNECTIONS)):
            crowd.append(client)
            by_name.setdefault(client.get("/readyz").headers["x-tailorbird-worker"], client)
    assert len(by_name) == 2
    yield list(by_name.values())
    for client in crowd:
        client.close()


def change(client: httpx.Client, *items: dict[str, Any]) -> None:
    response = client.post("/v1/items", json={"items": list(items)})
    assert response.status_code == 200, response.text
    assert response.json()["stored"] == len(items), response.text


def upsert(item_id: str) -> dict[str, Any]:
    return {"item_id": item_id, "attributes": {"title": f"Title {item_id}"}}


def known(client: httpx.Client, *item_ids: str) -> set[str]:
    body = client.post("/v1/rank", json={"item_ids": list(item_ids)}).json()
    return {one["item_id"] for one in body["items"]}


def shown(client: httpx.Client) -> set[str]:
    return {one["item_id"] for one in client.post("/v1/recommend", json={"k": 500}).json()["items"]}


def bundle_of(client: httpx.Client) -> str:
    name: str = client.get("/readyz").json()["bundle"]
    return name


def until(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Seconds until something is so; fails when that takes too long."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)
    return time.monotonic() - start


def test_items_come_and_go_on_both_workers_within_a_second(workers: list[httpx.Client]) -> None:
    for turn in range(5):
        tell, other = workers[turn % 2], workers[1 - turn % 2]
        item = f"quick-{turn}"
        change(tell, upsert(item))
        until(lambda: all(item in known(one, item) and item in shown(one) for one in (tell, other)), SERVABLE_SECONDS)  # noqa: B023
        change(other, {"item_id": item, "delete": True})
        until(lambda: not any(item in shown(one) for one in (tell, other)), SERVABLE_SECONDS)  # noqa: B023


class Traffic:
    """Requests one after another to both workers, and what was wrong with any."""

    def __init__(self, workers: list[httpx.Client], never: set[str], always: set[str]) -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self._never, self._always = never, always
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(str(one.base_url),)) for one in workers]

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._done.is_set():
                response = client.post("/v1/recommend", json={"k": 500})
                items = {one["item_id"] for one in response.json().get("items", [])}
                if response.status_code != 200 or items & self._never or self._always - items:
                    self.wrong.append(response.text[:200])
                self.answers += 1

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def settled(workers: list[httpx.Client]) -> tuple[set[str], set[str]]:
    """An item that every worker shows, and one of the bundle that none does."""
    gone = min(shown(workers[0]))
    change(workers[0], upsert("settled"), {"item_id": gone, "delete": True})
    until(lambda: all("settled" in shown(one) and gone not in shown(one) for one in workers))
    return {"settled"}, {gone}


def test_a_swap_and_a_rollback_under_traffic(
    live: Live, workers: list[httpx.Client], settled: tuple[set[str], set[str]]
) -> None:
    """No request fails, no deleted item is shown, no new item is lost."""
    always, never = settled
    first = bundle_of(workers[0])
    with Traffic(workers, never, always) as traffic:
        promote(live.bundle("second"), live.registry)
        until(lambda: all(bundle_of(one) != first for one in workers))
        rollback(live.registry)
        until(lambda: all(bundle_of(one) == first for one in workers))
    assert traffic.wrong == []
    assert traffic.answers > 0


def test_a_bad_bundle_is_told_and_the_old_one_goes_on(live: Live, workers: list[httpx.Client]) -> None:
    first = bundle_of(workers[0])
    promote(live.bundle("bad"), live.registry)
    (live.bundle("bad") / "ranker.onnx").write_bytes(b"broken")
    until(lambda: all("refused" in one.get("/readyz").json() for one in workers))
    for one in workers:
        assert "ranker.onnx differs" in one.get("/readyz").json()["refused"]["reason"]
        assert bundle_of(one) == first
    assert "tailorbird_bundle_refused 1.0" in workers[0].get("/metrics").text
    rollback(live.registry)
    until(lambda: not any("refused" in one.get("/readyz").json() for one in workers))


def test_many_changes_are_merged_beside_the_bundle_under_traffic(
    live: Live, workers: list[httpx.Client], settled: tuple[set[str], set[str]]
) -> None:
    always, never = settled
    with Traffic(workers, never, always) as traffic:
        many = [f"many-{place}" for place in range(2 * MERGE_ITEMS)]
        change(workers[0], *(upsert(item) for item in many))
        path = live.bundle("first")
        until(lambda: bool(merges_of(path)))
        until(lambda: "tailorbird_items_changed 0.0" in workers[0].get("/metrics").text)
    assert traffic.wrong == []
    for one in workers:
        assert known(one, *many) == set(many)
        assert not shown(one) & never

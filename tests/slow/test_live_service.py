"""Two real workers whose items change and whose bundle is swapped while they answer: nothing fails, nothing is lost."""

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from serving.items.merged_files import merges_of
from serving.lifecycle.launch import launch
from serving.lifecycle.registry import end, promote, promote_canary, promote_shadow, rollback
from serving.manifest import MANIFEST, renew_manifest
from serving.state import open_state

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 180
"""A bundle is tried out in time that nobody else wants, of which a busy machine has little."""
SERVABLE_SECONDS = 1.0
MERGE_ITEMS = 20
FOLLOWED_SECONDS = 10.0
"""Within which every worker follows a rollback, on a machine that does other work too."""
WAITING = 4
"""Questions that may wait for a shadow."""
SHARE = 0.3
PEOPLE = [f"person-{number}" for number in range(200)]
PROMPT_SECONDS = 2.0
"""Within which a list comes, on a machine that does other work too, while a shadow would never answer."""
CONNECTIONS = 20


class Live(NamedTuple):
    """A service of two workers that follows a registry of two bundles."""

    url: str
    folder: Path
    server: int
    """Id of the process that started the workers."""

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def state(self) -> str:
        """URL of its store."""
        return f"sqlite:///{self.folder}/state.db"

    def bundle(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def live(trained: Any, port: int, until_ready: Callable[..., None], tmp_path_factory: Any) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    for name in ("first", "second", "third", "bad"):
        shutil.copytree(trained.bundle, folder / name)
        manifest = folder / name / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "note": name}))
        renew_manifest(folder / name)
    config = folder / "serving.yaml"
    granted = {"unknown": "granted", "basis": "a test"}
    serving = {
        "workers": 2,
        "merge_items": MERGE_ITEMS,
        "deadline_ms": 10_000,  # nothing is refused for lateness on a busy machine
        "consent": {"personalize": granted, "measure": granted},
        "shadow": {"report": str(folder / "shadow.jsonl"), "max_waiting": WAITING},
    }
    config.write_text(yaml.safe_dump({"serving": serving}))
    registry, state = folder / "registry", f"sqlite:///{folder}/state.db"
    promote(folder / "first", registry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "BENTOML_HOME", str(folder / "bentoml"))
        server = launch(registry=registry, state=state, config=config, port=port)
    made = Live(f"http://127.0.0.1:{port}", folder, server.pid)
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


def asked(client: httpx.Client, user_id: str) -> dict[str, Any]:
    response = client.post("/v1/recommend", json={"user_id": user_id, "k": 3})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def lists_of(client: httpx.Client, bundle: str) -> float:
    """Lists that a bundle made, as all workers counted them."""
    line = f'tailorbird_answers_total{{bundle="{bundle}",route="recommend"}} '
    found = [one for one in client.get("/metrics").text.splitlines() if one.startswith(line)]
    return float(found[0].removeprefix(line)) if found else 0.0


def beside(standing: dict[str, Any], place: str) -> dict[str, Any]:
    """What a worker's standing says of its canary or shadow; nothing where it has none that answers."""
    told: dict[str, Any] = standing.get(place) or {}
    return told if told.get("bundle") else {}


def everywhere(live: Live, so: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether each worker's standing is so; connections held open may come to lie with one of them."""
    told: dict[str, bool] = {}
    for _ in range(CONNECTIONS):
        with httpx.Client(base_url=live.url, timeout=30, verify=False) as client:
            standing = client.get("/readyz")
        told[standing.headers["x-tailorbird-worker"]] = so(standing.json())
        if len(told) == 2:
            break
    return len(told) == 2 and all(told.values())


def test_a_canary_answers_the_same_people_on_every_worker(live: Live, workers: list[httpx.Client]) -> None:
    """And the share asked for, in answers, log and metrics; the way back acts on all workers at once."""
    first = bundle_of(workers[0])
    named = promote_canary(live.bundle("third"), live.registry, SHARE).canary
    assert named is not None
    until(lambda: everywhere(live, lambda told: bool(beside(told, "canary"))))
    third = beside(workers[0].get("/readyz").json(), "canary")["bundle"]
    before = lists_of(workers[0], third)
    answers = [{user: asked(one, user) for user in PEOPLE} for one in workers]
    chosen = {user for user in PEOPLE if named.split.takes(user, None)}
    assert abs(len(chosen) / len(PEOPLE) - SHARE) < 0.17  # five standard deviations
    for told in answers:
        assert {user: one["bundle"] for user, one in told.items()} == {
            user: third if user in chosen else first for user in PEOPLE
        }
    assert lists_of(workers[1], third) - before == 2 * len(chosen)
    by_request = {one["request_id"]: one["bundle"] for told in answers for one in told.values()}
    with closing(open_state(live.state)) as state:
        until(lambda: by_request.items() <= served_bundles(state, by_request).items())

    promote_canary(live.bundle("third"), live.registry, 2 * SHARE)
    until(lambda: everywhere(live, lambda told: beside(told, "canary").get("share") == 2 * SHARE))
    assert {asked(workers[0], user)["bundle"] for user in chosen} == {third}, "a larger share keeps its people"
    back = rollback(live.registry).live
    assert until(lambda: everywhere(live, lambda told: not beside(told, "canary"))) < FOLLOWED_SECONDS
    assert not {asked(one, user)["bundle"] for one in workers for user in chosen} & {third}
    if back != live.bundle("first"):  # a swap before left another as the way back
        rollback(live.registry)
    assert until(lambda: everywhere(live, lambda told: told["bundle"] == first)) < FOLLOWED_SECONDS


def served_bundles(state: Any, request_ids: Iterable[str]) -> dict[str, str]:
    """Which bundle the log of what was served names for each request."""
    wanted = set(request_ids)
    rows = (one.row for one in state.served_log.after(0, 10_000))
    return {row.request_id: row.bundle for row in rows if row.request_id in wanted}


def shadow_counts(client: httpx.Client) -> dict[str, float]:
    """What became of questions to shadows, as all workers counted it."""
    found = re.findall(
        r'^tailorbird_shadow_answers_total\{bundle="\w+",outcome="(\w+)"\} (\S+)$',
        client.get("/metrics").text,
        re.MULTILINE,
    )
    return {outcome: float(value) for outcome, value in found}


def lines_of(report: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in report.read_text(encoding="utf-8").splitlines()]


def shadow_processes(server: int) -> list[int]:
    """Processes of workers' shadows: the descendants of a server at the lowest priority."""
    found, waiting = [], [server]
    while waiting:
        pid = waiting.pop()
        waiting += [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in read_children(task)]
        found += [pid] if os.getpriority(os.PRIO_PROCESS, pid) == 19 else []
    return found


def read_children(task: Path) -> list[str]:
    return (task / "children").read_text(encoding="utf-8").split()


def test_a_shadow_is_compared_and_delays_nobody_even_when_it_hangs(live: Live, workers: list[httpx.Client]) -> None:
    first = bundle_of(workers[0])
    promote_shadow(live.bundle("third"), live.registry)
    until(lambda: everywhere(live, lambda told: bool(beside(told, "shadow"))))
    third = beside(workers[0].get("/readyz").json(), "shadow")["bundle"]
    assert {asked(one, user)["bundle"] for user in PEOPLE[:2] for one in workers} == {first}
    until(lambda: shadow_counts(workers[0]).get("compared") == 4)
    hung = shadow_processes(live.server)
    assert len(hung) == 2, "one for each worker"
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    seconds = [until(lambda: asked(one, user)["bundle"] == first) for user in PEOPLE[:8] for one in workers]  # noqa: B023
    assert max(seconds) < PROMPT_SECONDS
    assert shadow_counts(workers[1])["dropped"] >= 16 - 2 * (WAITING + 2)
    end("shadow", live.registry)
    assert until(lambda: everywhere(live, lambda told: not beside(told, "shadow"))) < FOLLOWED_SECONDS
    report = live.folder / "shadow.jsonl"
    until(lambda: report.exists() and sum(one["compared"] for one in lines_of(report)) == 4)
    lines = lines_of(report)
    assert {(one["live"], one["shadow"]) for one in lines} == {(first, third)}
    assert {one["overlap"]["mean"] for one in lines if one["compared"]} == {1.0}, "it is a copy of the live one"
    assert not any(user in report.read_text() for user in PEOPLE[:8])


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

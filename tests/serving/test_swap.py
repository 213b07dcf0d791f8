"""Another bundle under traffic: what answers, what is refused, and what is freed."""

import json
import logging
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from features.errors import StateError
from serving.api.replies import ListReply, RefusedReply
from serving.api.requests import RecommendRequest
from serving.desk.desk import Desk
from serving.lifecycle.live import Live
from serving.lifecycle.lock import only_one
from serving.lifecycle.opening import open_snapshot, open_worker
from serving.lifecycle.registry import promote, rollback
from serving.lifecycle.swap import RegistryWatcher, machine_lock
from serving.lifecycle.worker import Worker
from serving.manifest import MANIFEST, renew_manifest
from serving.state import ItemLog, State

ASKED = RecommendRequest(k=5)


@pytest.fixture(scope="module")
def bundles(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles that answer alike under two names."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("first", "second"):
        shutil.copytree(trained.bundle, folder / name)
        noted(folder / name, note=name)
    return folder / "first", folder / "second"


def noted(bundle: Path, **notes: Any) -> Path:
    """A bundle with something else in its manifest, and so another fingerprint."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**manifest, **notes}))
    renew_manifest(bundle)
    return bundle


@pytest.fixture
def registry(tmp_path: Path, bundles: tuple[Path, Path]) -> Path:
    promote(bundles[0], tmp_path / "registry")
    return tmp_path / "registry"


Opened = tuple[Live, RegistryWatcher]


def no_shadow(path: Path) -> Any:
    raise AssertionError("no shadow is named")


@pytest.fixture
def opened(registry: Path, bundles: tuple[Path, Path], state: State, item_log: ItemLog, tmp_path: Path) -> Opened:
    """What a worker has inside, without its threads."""
    open_checked = partial(open_snapshot, log=item_log, newest_events=100)
    snapshot = open_checked(bundles[0])
    live = Live(snapshot, Desk(snapshot.pipeline, state, item_log))
    return live, RegistryWatcher(registry, live, item_log, open_checked, tmp_path / "lock", no_shadow)


def answer(live: Live) -> ListReply:
    return live.desk.recommend(ASKED, "r")


def test_the_pointer_is_followed_and_so_is_a_rollback(
    opened: Opened, registry: Path, bundles: tuple[Path, Path]
) -> None:
    live, watcher = opened
    first = answer(live)
    watcher.look()
    assert live.snapshot.main.path == bundles[0]
    promote(bundles[1], registry)
    watcher.look()
    second = answer(live)
    assert second.bundle != first.bundle
    assert second.items == first.items
    rollback(registry)
    watcher.look()
    assert answer(live).bundle == first.bundle


def test_a_request_goes_on_with_what_it_took(opened: Opened, registry: Path, bundles: tuple[Path, Path]) -> None:
    live, watcher = opened
    desk = live.desk
    promote(bundles[1], registry)
    watcher.look()
    assert desk.recommend(ASKED, "r").bundle != answer(live).bundle


def damaged(bundle: Path) -> None:
    (bundle / "settings.json").write_text("{}")


def wrong(bundle: Path) -> None:
    cases = json.loads((bundle / "golden.json").read_text())
    cases[0]["answer"][0][1] += 1.0
    (bundle / "golden.json").write_text(json.dumps(cases))
    renew_manifest(bundle)


def reading_more(bundle: Path) -> None:
    settings = json.loads((bundle / "settings.json").read_text())
    (bundle / "settings.json").write_text(json.dumps({**settings, "max_events": 200}))
    renew_manifest(bundle)


def unreadable(bundle: Path) -> None:
    (bundle / "user_tower.onnx").write_bytes(b"no graph")
    renew_manifest(bundle)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (damaged, "settings.json differs from what was trained"),
        (wrong, "golden case 0 of"),
        (reading_more, "100 events are fewer than the 200"),
        (unreadable, "it could not be opened: InvalidProtobuf"),
        (shutil.rmtree, "is no bundle"),
    ],
)
def test_a_bad_bundle_is_refused_with_its_reason_and_the_old_one_goes_on(
    opened: Opened,
    registry: Path,
    bundles: tuple[Path, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    reason: str,
) -> None:
    live, watcher = opened
    before = answer(live)
    bad = tmp_path / "bad"
    shutil.copytree(bundles[1], bad)
    promote(bad, registry)
    spoil(bad)
    with caplog.at_level(logging.ERROR, "bentoml.tailorbird"):
        for _ in range(3):
            watcher.look()
    assert watcher.refusal is not None
    assert watcher.refusal.bundle == str(bad)
    assert reason in watcher.refusal.reason
    assert len([record for record in caplog.records if "is refused" in record.message]) == 1
    assert answer(live) == before
    assert Worker(live, cast("Any", None), [], watcher).standing().refused == RefusedReply(**watcher.refusal._asdict())
    rollback(registry)
    watcher.look()
    assert watcher.refusal is None
    assert Worker(live, cast("Any", None), [], watcher).standing().refused is None


@pytest.mark.parametrize("content", ["{", None])
def test_a_registry_that_breaks_changes_nothing(opened: Opened, registry: Path, content: str | None) -> None:
    live, watcher = opened
    watcher.look()
    before = answer(live)
    path = registry / "registry.json"
    path.unlink() if content is None else path.write_text(content)
    watcher.look()
    assert watcher.refusal is not None
    assert answer(live) == before


def test_another_bundle_at_the_same_path_is_noticed_by_its_fingerprint(
    opened: Opened, registry: Path, bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    live, watcher = opened
    place = tmp_path / "bundle"
    shutil.copytree(bundles[0], place)
    promote(place, registry)
    watcher.look()
    first = answer(live).bundle
    shutil.rmtree(place)
    watcher.look()
    assert watcher.refusal is not None
    assert "is no bundle" in watcher.refusal.reason
    shutil.copytree(bundles[1], tmp_path / "trained again")
    (tmp_path / "trained again").rename(place)
    watcher.look()
    assert watcher.refusal is None
    assert live.snapshot.main.path == place
    assert answer(live).bundle not in {first, ""}


def test_one_worker_of_a_machine_at_a_time(
    opened: Opened, registry: Path, bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    live, watcher = opened
    promote(bundles[1], registry)
    with only_one(tmp_path / "lock"):
        watcher.look()
        assert live.snapshot.main.path == bundles[0]
    watcher.look()
    assert live.snapshot.main.path == bundles[1]


def test_workers_of_one_registry_share_a_lock(tmp_path: Path) -> None:
    assert machine_lock(tmp_path / "a") == machine_lock(tmp_path / "b" / ".." / "a") != machine_lock(tmp_path / "b")


def test_without_the_log_no_bundle_is_put_in_place_until_it_answers_again(
    opened: Opened, registry: Path, bundles: tuple[Path, Path], item_log: ItemLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, watcher = opened
    promote(bundles[1], registry)

    def gone(*asked: Any) -> Any:
        raise StateError("gone")

    for method in ("newest", "after"):
        with monkeypatch.context() as patch:
            patch.setattr(item_log, method, gone)
            with pytest.raises(StateError):
                watcher.look()
        assert live.snapshot.main.path == bundles[0]
        assert watcher.refusal is None
    watcher.look()
    assert live.snapshot.main.path == bundles[1]


def test_the_old_bundle_is_freed_with_its_last_request(
    opened: Opened, registry: Path, bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By references alone: what the collector was told to leave alone, it would never free."""
    trimmed: list[bool] = []
    monkeypatch.setattr("serving.lifecycle.memory.trim_memory", lambda: trimmed.append(True))
    live, watcher = opened
    desk, old = live.desk, weakref.ref(live.snapshot.main)
    promote(bundles[1], registry)
    watcher.look()
    watcher.look()
    assert old() is not None
    assert trimmed == []
    desk.recommend(ASKED, "r")
    del desk
    assert old() is None
    watcher.look()
    watcher.look()
    assert trimmed == [True]


def test_swaps_under_traffic_fail_no_request(opened: Opened, registry: Path, bundles: tuple[Path, Path]) -> None:
    live, watcher = opened
    expected = answer(live).items
    wrong_answers: list[Any] = []
    seen: set[str] = set()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                reply = answer(live)
                seen.add(reply.bundle)
                if reply.items != expected:
                    wrong_answers.append(reply)
            except Exception as error:
                wrong_answers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(6):
        promote(bundles[1 - number % 2], registry)
        watcher.look()
    done.set()
    for thread in threads:
        thread.join()
    assert wrong_answers == []
    assert len(seen) == 2


@pytest.fixture
def worker(registry: Path, tmp_path: Path) -> Iterator[Worker]:
    url = f"sqlite:///{tmp_path}/state.db"
    opened = open_worker({"TAILORBIRD_REGISTRY": str(registry), "TAILORBIRD_STATE": url})
    yield opened
    opened.close()


def test_a_worker_follows_by_itself(worker: Worker, registry: Path, bundles: tuple[Path, Path]) -> None:
    before = worker.desk.bundle
    promote(bundles[1], registry)
    waiting = threading.Event()
    for _ in range(1000):
        if worker.desk.bundle != before:
            break
        waiting.wait(0.02)
    assert worker.desk.bundle != before


def test_a_bundle_that_was_named_itself_is_never_replaced(bundles: tuple[Path, Path]) -> None:
    worker = open_worker({"TAILORBIRD_BUNDLE": str(bundles[0]), "TAILORBIRD_STATE": "sqlite://:memory:"})
    assert worker._watcher is None
    worker.close()

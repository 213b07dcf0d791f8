"""Canary and shadow of a worker: opened when the registry names them, refused with a reason, let go at once."""

import json
import shutil
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.api.requests import RecommendRequest
from serving.desk.desk import Desk
from serving.items.changes import ItemFollower
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.lifecycle.lock import only_one
from serving.lifecycle.opening import open_snapshot
from serving.lifecycle.registry import end, promote, promote_canary, promote_shadow, rollback
from serving.lifecycle.swap import RegistryWatcher
from serving.lifecycle.worker import Worker
from serving.manifest import MANIFEST, renew_manifest
from serving.state import ItemLog, State
from serving.state.item_log import ItemEdit


@pytest.fixture(scope="module")
def bundles(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles that answer alike under two names."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("first", "second"):
        noted(Path(shutil.copytree(trained.bundle, folder / name)), name)
    return folder / "first", folder / "second"


def noted(bundle: Path, note: str) -> Path:
    """A bundle with something else in its manifest, and so another fingerprint."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**manifest, "note": note}))
    renew_manifest(bundle)
    return bundle


class OneWorker(SimpleNamespace):
    """What a worker has inside, without its threads and without a process for a shadow."""

    live: Live
    watcher: RegistryWatcher
    opened: list[Path]
    shadows: list[Any]

    def answers(self, user_id: str = "ann") -> str:
        return self.live.desk.recommend(RecommendRequest(user_id=user_id, k=5), "r").bundle

    def standing(self) -> Any:
        return Worker(self.live, cast("Any", None), [], self.watcher).standing()


@pytest.fixture
def registry(tmp_path: Path, bundles: tuple[Path, Path]) -> Path:
    promote(bundles[0], tmp_path / "registry")
    return tmp_path / "registry"


@pytest.fixture
def worker(registry: Path, bundles: tuple[Path, Path], state: State, item_log: ItemLog, tmp_path: Path) -> OneWorker:
    open_checked: Callable[[Path], Snapshot] = partial(open_snapshot, log=item_log, newest_events=100)
    made = OneWorker(opened=[], shadows=[])

    def opening(path: Path) -> Snapshot:
        made.opened.append(path)
        return open_checked(path)

    def new_shadow(path: Path) -> Any:
        made.shadows.append(SimpleNamespace(bundle=path, name="of a shadow", refusal=None, ended=False))
        made.shadows[-1].stop = lambda: setattr(made.shadows[-1], "ended", True)
        return made.shadows[-1]

    snapshot = open_checked(bundles[0])
    made.live = Live(snapshot, Desk(snapshot.pipeline, state, item_log))
    made.watcher = RegistryWatcher(registry, made.live, item_log, opening, tmp_path / "lock", new_shadow)
    return made


def test_a_canary_answers_until_it_is_taken_away(
    worker: OneWorker, registry: Path, bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    first = worker.answers()
    promote_canary(bundles[1], registry, 1.0)
    worker.watcher.look()
    second = worker.answers()
    assert second != first
    assert worker.live.desk.bundle == first, "who is nobody, and what is no list, is live's"
    told = worker.standing()
    assert (told.bundle, told.canary.bundle, told.canary.share) == (first, second, 1.0)
    promote_canary(bundles[1], registry, 0.0)
    worker.watcher.look()
    assert worker.answers() == first
    assert worker.opened == [bundles[1]], "another share opens nothing"
    promote_canary(bundles[1], registry, 1.0)
    worker.watcher.look()
    assert worker.answers() == second
    rollback(registry)
    with only_one(tmp_path / "lock"):
        worker.watcher.look()
    assert worker.answers() == first, "it goes at once, whoever opens a bundle on this machine"
    worker.watcher.look()
    assert worker.standing().canary is None


def test_a_canary_that_becomes_live_is_not_opened_again_and_the_way_back_is_live(
    worker: OneWorker, registry: Path, bundles: tuple[Path, Path]
) -> None:
    first = worker.answers()
    promote_canary(bundles[1], registry, 1.0)
    worker.watcher.look()
    promote(bundles[1], registry)
    worker.watcher.look()
    assert worker.opened == [bundles[1]]
    assert worker.live.desk.bundle == worker.answers() != first
    assert worker.live.canary is None
    rollback(registry)
    worker.watcher.look()
    assert worker.answers() == first


def test_a_canary_that_is_let_go_is_freed_with_its_last_request(
    worker: OneWorker, registry: Path, bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[bool] = []
    monkeypatch.setattr("serving.lifecycle.memory.trim_memory", lambda: trimmed.append(True))
    promote_canary(bundles[1], registry, 1.0)
    worker.watcher.look()
    canary = worker.live.canary
    assert canary is not None
    desk, old = canary.desk, weakref.ref(canary.snapshot.main)
    del canary
    end("canary", registry)
    worker.watcher.look()
    assert old() is not None
    desk.recommend(RecommendRequest(k=5), "r")
    del desk
    assert old() is None
    worker.watcher.look()
    assert trimmed == [True]


def test_item_changes_reach_a_canary_too(
    worker: OneWorker, registry: Path, bundles: tuple[Path, Path], item_log: ItemLog
) -> None:
    promote_canary(bundles[1], registry, 1.0)
    worker.watcher.look()
    item_log.change([ItemEdit("fresh", {"title": "New"})], 1)
    ItemFollower(worker.live, item_log, cast("Any", None)).look()
    assert [live.snapshot.number for live in worker.live.all] == [1, 1]
    canary = worker.live.canary
    assert canary is not None
    assert "fresh" in canary.desk.schema.items
    assert worker.live.desk.beside.canary is not None
    assert "fresh" in worker.live.desk.beside.canary.desk.schema.items


def damaged(bundle: Path) -> None:
    (bundle / "settings.json").write_text("{}")


def of_another_format(bundle: Path) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**content, "format": 3}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (damaged, "settings.json differs from what was trained"),
        (of_another_format, "has another format than"),
        (shutil.rmtree, "is no bundle"),
    ],
)
def test_a_bad_canary_is_refused_and_live_answers_everybody(
    worker: OneWorker,
    registry: Path,
    bundles: tuple[Path, Path],
    tmp_path: Path,
    spoil: Callable[[Path], None],
    reason: str,
) -> None:
    bad = Path(shutil.copytree(bundles[1], tmp_path / "bad"))
    promote_canary(bad, registry, 1.0)
    spoil(bad)
    for _ in range(3):
        worker.watcher.look()
    told = worker.standing()
    assert worker.answers() == told.bundle
    assert (told.canary.bundle, told.canary.share, told.refused) == (None, None, None)
    assert reason in told.canary.refused.reason
    assert worker.opened == [bad] or spoil is not damaged, "it is not tried again and again"
    rollback(registry)
    worker.watcher.look()
    assert worker.standing().canary is None


def test_a_canary_that_does_not_read_what_live_reads_is_refused(
    worker: OneWorker, registry: Path, bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it came into the registry: the command would not have taken it."""
    promote_canary(bundles[1], registry, 1.0)
    data = type(worker.live.snapshot.main.schema.dataset)
    monkeypatch.setattr(data, "no_longer_read", lambda self, before: ["context device"])
    worker.watcher.look()
    assert "does not read what the live bundle reads: context device" in worker.standing().canary.refused.reason


def test_a_shadow_stands_beside_live_until_it_is_taken_away(
    worker: OneWorker, registry: Path, bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    promote_shadow(bundles[1], registry)
    worker.watcher.look()
    worker.watcher.look()
    (shadow,) = worker.shadows
    assert [worker.live.desk.beside.shadow] == worker.shadows
    assert worker.standing().shadow.bundle == "of a shadow"
    shadow.refusal = "its process ended"
    worker.watcher.look()
    assert worker.standing().shadow.refused.reason == "its process ended"
    assert worker.opened == []
    end("shadow", registry)
    with only_one(tmp_path / "lock"):
        worker.watcher.look()
    assert shadow.ended
    assert worker.live.desk.beside.shadow is None
    worker.watcher.look()
    assert worker.standing().shadow is None

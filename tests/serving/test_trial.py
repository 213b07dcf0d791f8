"""A bundle tried out in another process: what that process found is told here."""

import json
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from features.errors import BundleError
from serving.bundle import open_verified
from serving.lifecycle.opening import open_snapshot
from serving.lifecycle.trial import REMEMBERED, Trial, told_of
from serving.manifest import renew_manifest
from serving.state import ItemLog


@pytest.fixture
def copied(trained: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.bundle, tmp_path / "copied"))


def wrong(bundle: Path) -> None:
    cases = json.loads((bundle / "golden.json").read_text())
    cases[0]["answer"][0][1] += 1.0
    (bundle / "golden.json").write_text(json.dumps(cases))
    renew_manifest(bundle)


def test_a_bundle_that_was_tried_elsewhere_is_opened_here(trained: Any, copied: Path, item_log: ItemLog) -> None:
    trial = Trial()
    open_checked = partial(open_snapshot, log=item_log, newest_events=100, trial=trial)
    opened = open_checked(copied).main
    assert opened.fingerprint == json.loads((trained.bundle / "manifest.json").read_text())["fingerprint"]
    wrong(copied)
    with pytest.raises(BundleError, match="golden case 0 of") as caught:
        open_checked(copied)
    assert "do not serve it" in str(caught.value.hint)
    with pytest.raises(BundleError, match="was replaced while it was opened"):
        open_verified(copied, opened.fingerprint)


def test_what_is_wrong_is_told_without_what_nobody_foresaw(copied: Path) -> None:
    (copied / "settings.json").write_text("{}")
    assert "settings.json differs from what was trained" in told_of(copied, "cpu")["message"]
    (copied / "user_tower.onnx").write_bytes(b"no graph")
    renew_manifest(copied)
    assert told_of(copied, "cpu") == {"message": "it could not be opened: InvalidProtobuf"}


def test_a_trial_is_broken_off_and_none_begun_after(copied: Path) -> None:
    trial = Trial()
    found: list[str] = []

    def attempt() -> None:
        try:
            trial(copied)
        except BundleError as error:
            found.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    while trial._process is None:
        thread.join(0.01)
    trial.stop()
    thread.join()
    attempt()
    assert "ended with exit status -9" in found[0]
    assert "the service ends" in found[1]


def test_what_passed_is_not_tried_again_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Path] = []

    def noted(_: Trial, path: Path) -> str:
        tried.append(path)
        return f"print-{len(tried)}"

    monkeypatch.setattr(Trial, "_tried", noted)
    (tmp_path / "file").write_text("a")
    trial = Trial()
    assert [trial(tmp_path), trial(tmp_path)] == ["print-1", "print-1"]
    (tmp_path / "file").write_text("b")
    assert [trial(tmp_path), trial(tmp_path)] == ["print-2", "print-2"]
    (tmp_path / "another").write_text("c")
    assert trial(tmp_path) == "print-3"
    for number in range(REMEMBERED):
        (tmp_path / str(number)).mkdir()
        trial(tmp_path / str(number))
    assert trial(tmp_path).startswith("print-"), "only so many are remembered"
    assert tried.count(tmp_path) == 4

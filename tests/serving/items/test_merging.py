"""The process that merges: begun when it is due, by one worker alone, and never in the way."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from serving.bundle import open_bundle
from serving.items import merging
from serving.items.changes import up_to_date
from serving.items.merged_files import merges_of
from serving.items.merging import MergeStarter, lock_of, merge, with_merges
from serving.lifecycle.live import Live
from serving.lifecycle.lock import only_one
from serving.retrieval.bitmap import pack
from serving.retrieval.eligibility import Eligible
from serving.retrieval.index import ItemIndex, renew_index
from serving.state import open_item_log
from serving.state.item_log import ItemEdit


class Beside:
    """A bundle of its own, a log in a file, and one worker's live reference."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.path = folder / "bundle"
        shutil.copytree(bundle, self.path)
        self.url = f"sqlite:///{folder}/state.db"
        self.log = open_item_log(self.url)
        self.log.change([ItemEdit(f"fresh-{place}", {"title": "New"}) for place in range(3)], 1)
        snapshot = up_to_date(with_merges(open_bundle(self.path), self.log), self.log)
        self.live = Live(snapshot, cast("Any", None))

    def starter(self, threshold: int = 3) -> MergeStarter:
        return MergeStarter(self.live, self.url, threshold)


@pytest.fixture
def beside(trained: Any, tmp_path: Path) -> Iterator[Beside]:
    made = Beside(trained.bundle, tmp_path)
    yield made
    made.log.close()


def ended(starter: MergeStarter) -> None:
    assert starter._process is not None
    assert starter._process.wait(120) == 0


def test_a_process_of_its_own_merges(beside: Beside) -> None:
    starter = beside.starter()
    starter.look()
    ended(starter)
    assert list(merges_of(beside.path)) == [beside.log.newest()]
    starter.look()
    assert starter._process is None


def test_few_changes_are_not_worth_a_merge(beside: Beside) -> None:
    starter = beside.starter(threshold=4)
    starter.look()
    assert starter._process is None


def test_one_process_at_a_time(beside: Beside) -> None:
    starter = beside.starter()
    with only_one(lock_of(beside.path)):
        starter.look()
        assert starter._process is None
        assert merge(beside.path, beside.log) is None
    assert merge(beside.path, beside.log) is not None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges are processes that fail at once."""
    real = subprocess.Popen

    def failing(command: list[str], **given: Any) -> Any:
        return real([sys.executable, "-c", "raise SystemExit(1)"], **given)

    monkeypatch.setattr(subprocess, "Popen", failing)


def test_after_a_failure_there_is_a_rest(beside: Beside, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    starter = beside.starter()
    starter.look()
    assert starter._process is not None
    assert starter._process.wait(60) == 1
    starter.look()
    assert starter._process is None
    monkeypatch.setattr(merging, "monotonic", lambda: time.monotonic() + merging.PATIENCE_SECONDS)
    starter.look()
    assert starter._process is not None
    starter.stop()


def test_stopping_breaks_off_a_merge(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **given: real(command, **given))
    starter = beside.starter()
    starter.look()
    starter.stop()
    assert starter._process is not None
    assert starter._process.returncode != 0


def test_what_cannot_be_merged_is_told(
    beside: Beside, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "nice", lambda _: 0)
    (beside.path / "settings.json").unlink()
    assert merging.main(str(beside.path), beside.url) == 1
    assert "item changes were not merged: settings.json is missing" in capsys.readouterr().err
    assert merges_of(beside.path) == {}


def test_an_index_of_cells_takes_up_changed_and_new_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.retrieval.eligibility.FEW", 0)  # else these rows are too few to be searched
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(450, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:2] = 0
    index = ItemIndex.train(vectors[:400], 4, "Flat")
    index = index.with_probes({50: 4})
    index.save(tmp_path / "index.faiss")
    changed = np.array([7, 399, *range(400, 450)])
    vectors[7], vectors[399] = vectors[8], 0.0
    renew_index(tmp_path / "index.faiss", tmp_path / "renewed.faiss", vectors, changed)
    mapped = ItemIndex.load(tmp_path / "renewed.faiss", vectors)
    eligible = Eligible(pack(np.any(vectors, axis=1)))
    for query in vectors[[7, 8, 20, 405, 449]]:
        best = np.argsort(-(vectors @ query), kind="stable")
        expected = [row for row in best.tolist() if np.any(vectors[row])][:5]
        assert mapped.search(query, 5, eligible).tolist() == expected

"""A training that was killed and taken up again ends where the whole one did."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tailorbird
from serving.manifest import verify_bundle
from training.warm import warm_bundle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WARM_EPOCHS = 2
KILLED_IN_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
from training.config import read_training_config
from training.run import checked_tables, train
from training.towers.stopping import KeepBest
from training.warm import warm_bundle
if __name__ == "__main__":
    config, run, stage, *before = sys.argv[1:]
    def die(self, trainer, module, batch, index):
        if trainer.current_epoch == 1 and index == 2 and stage in str(self._log):
            os.kill(os.getpid(), signal.SIGKILL)
    KeepBest.on_train_batch_start = die
    settings, base = read_training_config(config)
    if before:
        tables = checked_tables(settings, base, Path(run).parent)
        warm_bundle(settings, tables, Path(before[0]), Path(run), int(before[1]))
    else:
        train(settings, base, Path(run))
"""


def killed(script: str, *arguments: object) -> None:
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_training_that_was_killed_within_an_epoch_ends_in_the_same_bundle(trained: Any, tmp_path: Path) -> None:
    """Bit for bit: every file but the index's timings."""
    run = tmp_path / "killed"
    for stage in ("first", "final"):
        killed(KILLED_IN_AN_EPOCH, trained.config_path, run, stage)
    tailorbird.train(trained.config_path, run)
    assert_same(trained.bundle, run / "bundle")


def test_so_does_a_warm_start(trained: Any, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "killed"
    killed(KILLED_IN_AN_EPOCH, trained.config_path, run, "final", trained.bundle, WARM_EPOCHS)
    assert not (run / "bundle").exists()
    for folder in (run, whole):
        warm_bundle(trained.config, trained.tables, trained.bundle, folder, WARM_EPOCHS)
    assert_same(whole / "bundle", run / "bundle")


def assert_same(one: Path, other: Path) -> None:
    whole, taken_up = (verify_bundle(bundle)["files"] for bundle in (one, other))
    assert whole.keys() == taken_up.keys()
    assert {name for name in whole if whole[name] != taken_up[name]} <= {"index.json"}

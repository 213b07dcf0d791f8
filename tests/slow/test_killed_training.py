"""A training that was killed and taken up again ends where the whole one did."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tailorbird
from serving.manifest import verify_bundle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KILLED_IN_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
from training.config import read_training_config
from training.run import train
from training.towers.stopping import KeepBest
if __name__ == "__main__":
    config, run, stage = sys.argv[1:]
    def die(self, trainer, module, batch, index):
        if trainer.current_epoch == 1 and index == 2 and stage in str(self._log):
            os.kill(os.getpid(), signal.SIGKILL)
    KeepBest.on_train_batch_start = die
    train(*read_training_config(config), Path(run))
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
    whole, taken_up = (verify_bundle(one)["files"] for one in (trained.bundle, run / "bundle"))
    assert whole.keys() == taken_up.keys()
    assert {name for name in whole if whole[name] != taken_up[name]} <= {"index.json"}

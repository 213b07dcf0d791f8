"""A real disk that is full again and again, wherever a training has come to: each time one sentence, then the rest."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.manifest import verify_bundle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SIZES = ("4k", "100k", "1400k", "3m", "64m")
"""Of the disk, one for each call: the claim, the transitions, a checkpoint, a sealed stage, and room for all."""
ON_A_DISK = """
import shutil, subprocess, sys
import tailorbird
from features.errors import DataError
if __name__ == "__main__":
    config, run, copy, *sizes = sys.argv[1:]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", run], check=True)
    for size in sizes:
        subprocess.run(["mount", "-o", f"remount,size={size}", run], check=True)
        try:
            shutil.copytree(tailorbird.train(config, run), copy)
            print("trained")
        except DataError as error:
            print(error)
"""
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
"""A process of an ordinary user may mount there, and what it mounted goes with it."""


def test_a_training_on_a_full_disk_goes_on_when_there_is_room(trained: Any, tmp_path: Path) -> None:
    """And ends in the same bundle, bit for bit."""
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk: a full one stays untested")
    run, copy = tmp_path / "run", tmp_path / "copy"
    run.mkdir()
    command = [*NAMESPACE, sys.executable, "-c", ON_A_DISK, trained.config_path, run, copy, *SIZES]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    *told, last = done.stdout.splitlines()
    assert last == "trained"
    assert len(told) == len(SIZES) - 1
    assert all(line.startswith(f"the disk of {run} is full") for line in told)
    whole, gone_on_with = (verify_bundle(one)["files"] for one in (trained.bundle, copy))
    assert whole.keys() == gone_on_with.keys()
    assert {name for name in whole if whole[name] != gone_on_with[name]} <= {"index.json"}

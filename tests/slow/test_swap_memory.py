"""Fifty bundles after one another in one process: memory stays what it was."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.manifest import MANIFEST, renew_manifest

pytestmark = pytest.mark.slow

SWAPS = 50
TOLERANCE = 0.05

SWAP_AND_TELL = """
import sys, threading
from functools import partial
from pathlib import Path
from serving.desk.desk import Desk
from serving.lifecycle.live import Live
from serving.lifecycle.opening import open_snapshot
from serving.lifecycle.registry import promote
from serving.api.requests import RecommendRequest
from serving.state import open_item_log, open_state
from serving.state.item_log import ItemEdit
from serving.lifecycle.memory import leave_alone
from serving.lifecycle.swap import RegistryWatcher

folder, swaps = Path(sys.argv[1]), int(sys.argv[2])
state, log = open_state("sqlite://:memory:"), open_item_log("sqlite://:memory:")
log.change([ItemEdit(f"fresh-{place}", {"title": "New"}) for place in range(200)], 1)
open_checked = partial(open_snapshot, log=log, newest_events=500)
promote(folder / "first", folder / "registry")
snapshot = open_checked(folder / "first")
live = Live(snapshot, Desk(snapshot.pipeline, state, log))
del snapshot
leave_alone()
watcher = RegistryWatcher(folder / "registry", live, log, open_checked, folder / "lock", lambda path: None)
done = threading.Event()

def ask():
    while not done.wait(0.005):
        live.desk.recommend(RecommendRequest(k=20), "r")

def own_kib():
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))

askers = [threading.Thread(target=ask) for _ in range(2)]
for asker in askers:
    asker.start()
for number in range(swaps):
    promote(folder / ("second", "first")[number % 2], folder / "registry")
    watcher.look()
    assert live.snapshot.main.path.name == ("second", "first")[number % 2], watcher.refusal
    done.wait(0.05)
    watcher.look()
    print(own_kib(), flush=True)
done.set()
"""


@pytest.fixture
def folder(trained: Any, tmp_path: Path) -> Path:
    for name in ("first", "second"):
        shutil.copytree(trained.bundle, tmp_path / name)
        manifest = tmp_path / name / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "note": name}))
        renew_manifest(tmp_path / name)
    return tmp_path


def test_fifty_swaps_leave_memory_flat(folder: Path) -> None:
    """Under requests, with item changes to replay. The first swaps are not counted: pools fill and code is loaded."""
    command = [sys.executable, "-c", SWAP_AND_TELL, str(folder), str(10 + SWAPS)]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    sizes = [int(line) for line in ran.stdout.split()]
    before, after = (sorted(some)[len(some) // 2] for some in (sizes[5:10], sizes[-5:]))
    assert after <= before * (1 + TOLERANCE), sizes

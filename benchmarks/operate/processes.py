"""A measurement in a process of its own, so that what another left in memory is not counted with it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.accuracy.datasets import ROOT

MB = 1e6


def measured_apart(module: str, *arguments: object) -> dict[str, Any]:
    """What `python -m module ARGUMENTS` prints as its last line of JSON. Its errors go to ours."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its seconds."""
    begun = monotonic()
    return work(), monotonic() - begun


def peak_mb() -> float:
    """Most memory that this process had at once, megabytes: what it shares is in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def resident_mb() -> dict[str, float]:
    """Megabytes of this process now, each page by its share (PSS): its own, and of mapped files."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    sizes = {name: int(size.split()[0]) * 1024 / MB for name, _, size in (line.partition(":") for line in lines)}
    return {"own": sizes["Pss_Anon"], "mapped": sizes["Pss_File"]}

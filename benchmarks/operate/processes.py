"""A measurement in a process of its own, so that what another left in memory is not counted with it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from benchmarks.accuracy.datasets import ROOT

MB = 1e6
LOOK_SECONDS = 0.1
"""Between two looks at what a process and its children hold."""


class Ran(NamedTuple):
    """What a command cost."""

    output: str
    seconds: float
    peak_mb: float
    """Most memory that it and its children held together at a look, each page by its share (PSS)."""


def run(*command: object) -> Ran:
    """Run `python COMMAND` to its end; its errors go to ours, and one that fails raises CalledProcessError."""
    begun, peak = monotonic(), 0.0
    line = [sys.executable, *map(str, command)]
    environment = {"PYTHONPATH": str(ROOT), **os.environ}
    with subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while process.poll() is None:
            peak = max(peak, family_mb(process.pid))
            sleep(LOOK_SECONDS)
        seconds, output = monotonic() - begun, process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)
    return Ran(output, seconds, peak)


def measured_apart(module: str, *arguments: object) -> dict[str, Any]:
    """What `python -m module ARGUMENTS` prints as its last line of JSON."""
    found: dict[str, Any] = json.loads(run("-m", module, *arguments).output.strip().splitlines()[-1])
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its seconds."""
    begun = monotonic()
    return work(), monotonic() - begun


def peak_mb() -> float:
    """Most memory that this process had at once, megabytes: what it maps is in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def resident_mb() -> dict[str, float]:
    """Megabytes of this process now, each page by its share (PSS): its `own`, and those of `mapped` files."""
    return _shares(os.getpid())


def family_mb(pid: int) -> float:
    """Megabytes that a process and all below it hold now, each page by its share (PSS)."""
    return sum(sum(_shares(one).values()) for one in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())  # a child belongs to the thread that started it
        children = [one for thread in threads for one in (thread / "children").read_text(encoding="utf-8").split()]
    except OSError:  # it, or one of its threads, has just ended
        return
    for one in children:
        yield from _family(int(one))


def _shares(pid: int) -> dict[str, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:  # it has just ended
        return {}
    sizes = {name: int(size.split()[0]) * 1024 / MB for name, _, size in (line.partition(":") for line in lines)}
    return {"own": sizes["Pss_Anon"], "mapped": sizes["Pss_File"]}

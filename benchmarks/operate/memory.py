"""The most memory that a process and all that it starts held at once, looked at many times a second."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.02
"""Seconds between two looks."""


class Peak:
    """Bytes, the largest sum that was seen; pages that several processes share count once for each."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def peak_of(pid: int) -> Iterator[Peak]:
    """Watch a process and its descendants while the block runs."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            peak.bytes = max(peak.bytes, resident(pid))
            time.sleep(PAUSE)

    looking = threading.Thread(target=watch, daemon=True)
    looking.start()
    try:
        yield peak
    finally:
        over.set()
        looking.join()


def resident(pid: int) -> int:
    """Bytes that a process and its descendants hold now; none for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        tasks = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        children = [int(one) for task in tasks for one in task.read_text(encoding="utf-8").split()]
    except OSError:
        return 0
    own = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
    return own + sum(resident(child) for child in children)

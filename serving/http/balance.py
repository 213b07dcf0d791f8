"""Spreads connections that stay open over the workers of one service.

Workers take connections from one socket, and whoever wakes first takes all that wait: one of two workers was seen to
answer 98 % of what came over 64 connections, whose callers then wait for each other while the second worker idles. So
each worker tells how many connections it answers on, and one that has many more than its share asks some callers to
come again, by HTTP's own `Connection: close`. A folder that cannot be written to ends the spreading, never an answer.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, time

LOOK_SECONDS = 0.25
"""Between two looks at the others."""
ACTIVE_SECONDS = 5.0
"""A connection without a request for so long is not counted."""
SLACK = 1.1
"""A worker keeps so many times its share, and never fewer than `LEAST`: few connections are not worth a move."""
LEAST = 3


class Balance:
    """The connections of one worker beside those of the others; used from one event loop."""

    def __init__(self, mine: Path, workers: int, clock: Callable[[], float] = monotonic) -> None:
        """`mine` is the small file in which this worker tells; those of the others lie beside it."""
        self._workers = workers
        self._clock = clock
        self._mine = mine
        self._seen: dict[object, float] = {}
        self._surplus = 0
        self._look_at = clock() + LOOK_SECONDS

    def close_after(self, client: object) -> bool:
        """Whether a connection should end after the answer that is being made on it."""
        now = self._clock()
        self._seen[client] = now
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            try:
                self._look(now)
            except OSError:
                self._surplus = 0
        if self._surplus <= 0:
            return False
        self._surplus -= 1
        del self._seen[client]
        return True

    def end(self) -> None:
        """Tell no more."""
        with suppress(OSError):  # the others still tell, or nobody ever did
            self._mine.unlink(missing_ok=True)
            self._mine.parent.rmdir()

    def _look(self, now: float) -> None:
        self._seen = {client: last for client, last in self._seen.items() if now - last <= ACTIVE_SECONDS}
        self._mine.parent.mkdir(mode=0o700, exist_ok=True)
        self._mine.write_text(str(len(self._seen)), encoding="ascii")
        everybody = sum(_counted(path) for path in self._mine.parent.iterdir() if path != self._mine) + len(self._seen)
        share = max(LEAST, SLACK * everybody / self._workers)
        self._surplus = max(0, int(len(self._seen) - share))  # all of it: many come back to whom they left


def own_file() -> Path:
    """This worker's file, in the folder of the workers that one server process started."""
    return Path(tempfile.gettempdir()) / f"tailorbird-{os.getuid()}-{os.getppid()}.connections" / str(os.getpid())


def _counted(path: Path) -> int:
    """What another worker told lately; nothing for one that is gone."""
    try:
        recent = time() - path.stat().st_mtime <= ACTIVE_SECONDS
        return int(path.read_text(encoding="ascii")) if recent else 0
    except (OSError, ValueError):  # it is being written, or was removed
        return 0

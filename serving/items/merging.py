"""Item changes into files, off the path of any request: one process builds them, and every worker then maps them.

TAILORBIRD_STATE=URL python -m serving.items.merging BUNDLE
"""

import logging
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic

from features.errors import BundleError, StateError, TailorbirdError
from serving.bundle import Bundle, open_bundle
from serving.items.changes import up_to_date
from serving.items.merged_files import later_merges, open_merged, write_merged
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.lifecycle.lock import only_one
from serving.state import ItemLog, open_item_log

LOOK_SECONDS = 1.0
"""Between two looks at what could be merged or mapped."""
PATIENCE_SECONDS = 60.0
"""After a merge that failed, before another is begun."""
NICE = 10

_LOG = logging.getLogger("bentoml.tailorbird")


def with_merges(bundle: Bundle, log: ItemLog) -> Snapshot:
    """A bundle with the newest of its merges that is whole, else as it was trained.

    What it was trained on holds the changes up to `item_changes` of its manifest, if its maker said so.
    """
    own = Snapshot.of(bundle, int(bundle.manifest.get("item_changes", 0)))
    newest = log.newest()
    for number, path in later_merges(own):
        if number > newest:
            continue  # the log was put back to an earlier state
        try:
            return Snapshot.of(open_merged(bundle, path, log.identity), number)
        except (BundleError, OSError) as error:
            _LOG.warning("a merge is left aside: %s", error)
    return own


def merge(path: Path, log: ItemLog) -> Path | None:
    """Write all changes by now beside a bundle; None when there are none, or another process is at it.

    Raises BundleError, StateError, and OSError when nothing can be written there.
    """
    with only_one(lock_of(path)) as ours:
        if not ours:
            return None
        before = with_merges(open_bundle(path), log)
        now = up_to_date(before, log)
        return write_merged(now, log.identity) if len(now.delta) else None


def lock_of(bundle: Path) -> Path:
    """The lock of all processes that would merge the changes of a bundle."""
    return bundle.with_name(f".{bundle.name}.items.lock")


class MergeMapper:
    """Puts merged files in the place of the changes that they hold, in one worker."""

    def __init__(self, live: Live, log: ItemLog, lock: Path) -> None:
        """`lock` is held while files are verified and mapped: one worker of a machine at a time."""
        self._live = live
        self._log = log
        self._lock = lock
        self._bad: set[Path] = set()

    def look(self) -> None:
        """Map the newest merge if it holds more than what is mapped. Raises StateError when the log does not answer."""
        for live in self._live.all:
            self._look(live)

    def _look(self, live: Live) -> None:
        before = live.snapshot
        found = [(number, path) for number, path in later_merges(before) if path not in self._bad]
        newest = self._log.newest() if found else 0
        waiting = [(number, path) for number, path in found if number <= newest]
        if not waiting:
            return
        with only_one(self._lock) as ours:
            if ours:
                self._map(live, before, *waiting[0])

    def _map(self, live: Live, before: Snapshot, number: int, path: Path) -> None:
        try:
            main = open_merged(before.main, path, self._log.identity)
            fresh = up_to_date(Snapshot.of(main, number), self._log)
        except StateError:
            raise
        except (TailorbirdError, OSError) as error:
            self._bad.add(path)
            _LOG.warning("a merge is left aside: %s", error)
            return
        with live.changing:
            if live.snapshot.main is before.main:
                live.replace(up_to_date(fresh, self._log))


class MergeStarter:
    """Starts a merge when many items have changed, in a process of its own that leaves nothing behind in memory."""

    def __init__(self, live: Live, state: str, threshold: int) -> None:
        """`state` is the URL of the store with the log; `threshold` the changed items that are enough."""
        self._live = live
        self._state = state
        self._threshold = threshold
        self._process: subprocess.Popen[bytes] | None = None
        self._rest_until = 0.0

    def look(self) -> None:
        """Begin a merge if it is due and nobody is at it; see what became of the last one."""
        if self._process is not None and self._process.poll() is not None:
            if self._process.returncode:
                self._rest_until = monotonic() + PATIENCE_SECONDS
            self._process = None
        if self._process is None and monotonic() >= self._rest_until and (due := self._due()):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.items.merging", str(due)],
                env={**os.environ, "TAILORBIRD_STATE": self._state},  # a password may stand in it
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """Break off a merge that runs; it leaves nothing half."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _due(self) -> Path | None:
        """The bundle whose changes should be merged, and are not being."""
        for snapshot in (live.snapshot for live in self._live.all):
            if len(snapshot.delta) >= self._threshold and not any(later_merges(snapshot)):
                with only_one(lock_of(snapshot.main.path)) as nobody:
                    if nobody:
                        return snapshot.main.path
        return None


def main(path: str, state: str) -> int:
    """What the process does; the exit status."""
    os.nice(NICE)
    log = open_item_log(state)
    try:
        merge(Path(path), log)
    except (TailorbirdError, OSError) as error:
        sys.stderr.write(f"item changes were not merged: {error}\n")
        return 1
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ["TAILORBIRD_STATE"]))

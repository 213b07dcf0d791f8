"""Another bundle under traffic: opened beside the one that answers, checked, brought up to date, then put in its place.

A bundle that is refused changes nothing: its reason is told, and it is tried again only when the pointer changes.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from features.errors import BundleError, StateError, TailorbirdError
from serving.items.changes import up_to_date
from serving.items.snapshot import Snapshot
from serving.lifecycle.companions import Companions, Refusal, same_bundle
from serving.lifecycle.live import Live
from serving.lifecycle.lock import only_one
from serving.lifecycle.memory import Leaving, leave_alone
from serving.lifecycle.registry import REGISTRY, read_pointer
from serving.manifest import MANIFEST
from serving.metrics import BUNDLE_REFUSED, SWAPS
from serving.shadow.shadow import Shadow
from serving.state.item_log import ItemLog

LOOK_SECONDS = 0.4
"""Between two looks at the registry."""

_Stamp: TypeAlias = tuple[int, int] | None

_LOG = logging.getLogger("bentoml.tailorbird")


class RegistryWatcher:
    """Follows the registry's pointer for one worker."""

    def __init__(
        self,
        registry: Path,
        live: Live,
        log: ItemLog,
        open_snapshot: Callable[[Path], Snapshot],
        lock: Path,
        new_shadow: Callable[[Path], Shadow],
        break_off: Callable[[], None] = lambda: None,
    ) -> None:
        """`open_snapshot` opens a bundle, checked and warm, or raises; `lock` is held while it does.

        `new_shadow` begins to open one in a process of its own; `break_off` makes `open_snapshot` raise soon.
        """
        self.refusal: Refusal | None = None
        self._registry = registry
        self._live = live
        self._log = log
        self._open = open_snapshot
        self._lock = lock
        self._break_off = break_off
        self._leaving = Leaving()
        self.companions = Companions(live, log, open_snapshot, new_shadow, self._leaving)
        self._targets = [live.snapshot.main.path]
        self._seen: list[_Stamp] | None = None

    def look(self) -> None:
        """Follow the pointer if it or a bundle there changed, unless another worker of this machine is just doing so.

        What it no longer names is let go in any case: that takes no time, and a rollback must not wait in turn. Raises
        StateError when the log of item changes does not answer, without which no bundle is right.
        """
        self._leaving.free()
        self._tell()
        if self._seen == self._stamps():
            return
        self._leave()
        with only_one(self._lock) as ours:
            if ours:
                self._log.newest()
                self.follow()

    def follow(self) -> None:
        """Follow the pointer now, whoever else does. Raises StateError as `look` does."""
        name = str(self._registry / REGISTRY)
        self._seen = self._stamps()
        try:
            pointer = read_pointer(self._registry)
            self._targets = [pointer.live, *([pointer.canary.bundle] if pointer.canary else [])]
            self._seen = [self._seen[0], *self._stamps()[1:]]
            name = str(pointer.live)
            try:
                if not same_bundle(self._live.snapshot.main, pointer.live):
                    self._swap(pointer.live)
                self._settle(None)
            finally:
                self.companions.follow(pointer)
        except StateError:
            self._seen = None
            raise
        except TailorbirdError as error:
            self._settle(Refusal(name, str(error)))
        except Exception as error:
            self._settle(Refusal(name, f"it could not be opened: {type(error).__name__}"))

    def break_off(self) -> None:
        """Let a bundle that is just being opened be, and the shadow, because the worker ends."""
        self._break_off()

    def _leave(self) -> None:
        try:
            self.companions.leave(read_pointer(self._registry))
        except BundleError:
            return  # what is wrong with it is told by who follows it

    def _swap(self, path: Path) -> None:
        fresh = up_to_date(self.companions.opened(path) or self._open(path), self._log)
        leave_alone()
        with self._live.changing:
            self._leaving.add(self._live.snapshot.main)
            self._live.replace(up_to_date(fresh, self._log))
        SWAPS.labels("swapped").inc()
        _LOG.info("bundle %s answers from now on", fresh.main.name)

    def _settle(self, refusal: Refusal | None) -> None:
        self.refusal = refusal
        if refusal:
            SWAPS.labels("refused").inc()
            _LOG.error(
                "bundle %s is refused, %s goes on: %s", refusal.bundle, self._live.snapshot.main.name, refusal.reason
            )
        self._tell()

    def _tell(self) -> None:
        refused = (self.refusal, self.companions.canary_refusal, self.companions.shadow_refusal)
        BUNDLE_REFUSED.set(any(refused))

    def _stamps(self) -> list[_Stamp]:
        """Of the pointer, and of the bundles that answer people."""
        return [_stamp(self._registry / REGISTRY), *(_stamp(target / MANIFEST) for target in self._targets)]


def _stamp(path: Path) -> _Stamp:
    """What changes whenever a file is written that is never written to, but replaced; None when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def machine_lock(served: Path) -> Path:
    """The lock of all workers of this machine and user that serve a bundle or registry, which may be read-only."""
    name = hashlib.sha256(str(served.resolve()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tailorbird-{os.getuid()}-{name}.lock"

"""Another bundle under traffic: opened beside the one that answers, checked, brought up to date, then put in its place.

A bundle that is refused changes nothing: its reason is told, and it is tried again only when the pointer changes.
"""

import gc
import hashlib
import logging
import os
import tempfile
import weakref
from collections.abc import Callable
from ctypes import CDLL
from pathlib import Path
from typing import NamedTuple, TypeAlias

from features.errors import StateError, TailorbirdError
from serving.bundle import MANIFEST, Bundle, read_manifest
from serving.items.changes import up_to_date
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.lifecycle.lock import only_one
from serving.lifecycle.registry import REGISTRY, read_pointer
from serving.metrics import BUNDLE_REFUSED, SWAPS
from serving.state.item_log import ItemLog

LOOK_SECONDS = 0.4
"""Between two looks at the registry."""

_Stamp: TypeAlias = tuple[int, int] | None

_LOG = logging.getLogger("bentoml.tailorbird")


class Refusal(NamedTuple):
    """Why the bundle that the registry names does not answer."""

    bundle: str
    reason: str


class RegistryWatcher:
    """Follows the registry's pointer for one worker."""

    def __init__(
        self,
        registry: Path,
        live: Live,
        log: ItemLog,
        open_snapshot: Callable[[Path], Snapshot],
        lock: Path,
        break_off: Callable[[], None] = lambda: None,
    ) -> None:
        """`open_snapshot` opens a bundle, checked and warm, or raises; `lock` is held while it does.

        `break_off` makes it raise soon, as the attribute of that name.
        """
        self.refusal: Refusal | None = None
        self._registry = registry
        self._live = live
        self._log = log
        self._open = open_snapshot
        self._lock = lock
        self.break_off = break_off
        """Let a bundle that is just being opened be, because the worker ends."""
        self._target = live.snapshot.main.path
        self._seen: tuple[_Stamp, _Stamp] | None = None
        self._leaving: list[weakref.ref[Bundle]] = []

    def look(self) -> None:
        """Follow the pointer if it or the bundle there changed, unless another worker of this machine is just doing so.

        Raises StateError when the log of item changes does not answer, without which no bundle is right.
        """
        self._free()
        if self._seen == (_stamp(self._registry / REGISTRY), _stamp(self._target / MANIFEST)):
            return
        with only_one(self._lock) as ours:
            if ours:
                self._log.newest()
                self._follow()

    def _follow(self) -> None:
        pointer, name = _stamp(self._registry / REGISTRY), str(self._registry / REGISTRY)
        self._seen = pointer, _stamp(self._target / MANIFEST)
        try:
            self._target = path = read_pointer(self._registry).live
            self._seen, name = (pointer, _stamp(path / MANIFEST)), str(path)
            present = self._live.snapshot.main
            if path != present.path or read_manifest(path)["fingerprint"] != present.fingerprint:
                self._swap(path)
            self._settle(None)
        except StateError:
            self._seen = None
            raise
        except TailorbirdError as error:
            self._settle(Refusal(name, str(error)))
        except Exception as error:
            self._settle(Refusal(name, f"it could not be opened: {type(error).__name__}"))

    def _swap(self, path: Path) -> None:
        fresh = up_to_date(self._open(path), self._log)
        leave_alone()
        with self._live.changing:
            self._leaving.append(weakref.ref(self._live.snapshot.main))
            self._live.replace(up_to_date(fresh, self._log))
        SWAPS.labels("swapped").inc()
        _LOG.info("bundle %s answers from now on", fresh.main.name)

    def _settle(self, refusal: Refusal | None) -> None:
        self.refusal = refusal
        BUNDLE_REFUSED.set(refusal is not None)
        if refusal:
            SWAPS.labels("refused").inc()
            _LOG.error(
                "bundle %s is refused, %s goes on: %s", refusal.bundle, self._live.snapshot.main.name, refusal.reason
            )

    def _free(self) -> None:
        """Give memory back to the system once the last request of a former bundle has ended."""
        gone = [one for one in self._leaving if one() is None]
        if gone:
            self._leaving = [one for one in self._leaving if one not in gone]
            trim_memory()


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


def leave_alone() -> None:
    """Tell the collector to look no more at what is loaded; what was told so before costs nothing here.

    References still free it; only cycles would stay, and a bundle has none.
    """
    gc.collect()
    gc.freeze()


def trim_memory() -> None:
    """Give freed memory back to the system, where the C library can (glibc)."""
    trim = getattr(CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

"""Canary and shadow of one worker, as the registry names them: opened beside the live bundle, and let go.

One that is refused is as one that is not there: live answers everybody, and its reason is told.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from features.errors import BundleError, StateError, TailorbirdError
from serving.bundle import Bundle
from serving.items.changes import up_to_date
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.lifecycle.memory import Leaving, leave_alone
from serving.lifecycle.registry import Canary, Pointer
from serving.manifest import read_manifest
from serving.metrics import SWAPS
from serving.shadow.shadow import Shadow
from serving.state.item_log import ItemLog

_LOG = logging.getLogger("bentoml.tailorbird")


class Refusal(NamedTuple):
    """Why a bundle that the registry names does not answer."""

    bundle: str
    reason: str


class Companions:
    """What stands beside one worker's live bundle. Used from one thread."""

    def __init__(
        self,
        live: Live,
        log: ItemLog,
        open_snapshot: Callable[[Path], Snapshot],
        new_shadow: Callable[[Path], Shadow],
        leaving: Leaving,
    ) -> None:
        """`open_snapshot` opens a bundle, checked and warm, or raises; `new_shadow` begins to open one elsewhere."""
        self._live = live
        self._log = log
        self._open = open_snapshot
        self._new_shadow = new_shadow
        self._leaving = leaving
        self._canary_refusal: Refusal | None = None

    @property
    def canary_refusal(self) -> Refusal | None:
        """Why the canary that the registry names does not answer."""
        return self._canary_refusal

    @property
    def shadow_refusal(self) -> Refusal | None:
        """Why the shadow that the registry names does not answer."""
        shadow = self._live.desk.beside.shadow
        reason = None if shadow is None else shadow.refusal
        return None if shadow is None or reason is None else Refusal(str(shadow.bundle), reason)

    def leave(self, pointer: Pointer) -> None:
        """Take away at once what a pointer no longer names; a canary that is to be live answers until it is."""
        canary, shadow = self._live.canary, self._live.desk.beside.shadow
        named = pointer.canary and pointer.canary.bundle
        if canary is not None and canary.snapshot.main.path not in (named, pointer.live):
            self._end_canary()
        if shadow is not None and shadow.bundle != pointer.shadow:
            self._end_shadow(shadow)

    def follow(self, pointer: Pointer) -> None:
        """Open what a pointer names and is not open. Raises StateError when the log of item changes does not answer."""
        self.leave(pointer)
        if pointer.canary is None:
            self._canary_refusal = None
            self._end_canary()
        else:
            self._follow_canary(pointer.canary)
        if pointer.shadow is not None and self._live.desk.beside.shadow is None:
            self._live.with_shadow(self._new_shadow(pointer.shadow))

    def opened(self, path: Path) -> Snapshot | None:
        """The canary's snapshot, if that is the bundle at a path."""
        canary = self._live.canary
        return canary.snapshot if canary is not None and same_bundle(canary.snapshot.main, path) else None

    def stop(self) -> None:
        """Let both go, and wait for the shadow's process."""
        self._end_canary()
        shadow = self._live.desk.beside.shadow
        if shadow is not None:
            self._end_shadow(shadow)
            shadow.join()

    def _follow_canary(self, named: Canary) -> None:
        present = self._live.canary
        try:
            if present is None or not same_bundle(present.snapshot.main, named.bundle):
                present = self._live.made_canary(self._opened_canary(named.bundle))
                self._end_canary()
                _LOG.info("bundle %s answers a share of %g", present.snapshot.main.name, named.split.share)
            self._live.with_canary(present, named.split)
            self._canary_refusal = None
        except StateError:
            raise
        except TailorbirdError as error:
            self._refuse_canary(named, str(error))
        except Exception as error:
            self._refuse_canary(named, f"it could not be opened: {type(error).__name__}")

    def _opened_canary(self, path: Path) -> Snapshot:
        fresh = up_to_date(self._open(path), self._log)
        before = self._live.snapshot.main.schema.dataset
        if gone := fresh.main.schema.dataset.no_longer_read(before):
            raise BundleError(f"it does not read what the live bundle reads: {', '.join(gone)}")
        leave_alone()
        return fresh

    def _refuse_canary(self, named: Canary, reason: str) -> None:
        self._end_canary()
        self._canary_refusal = Refusal(str(named.bundle), reason)
        SWAPS.labels("refused").inc()
        _LOG.error("canary %s is refused, %s answers all: %s", named.bundle, self._live.snapshot.main.name, reason)

    def _end_canary(self) -> None:
        canary = self._live.canary
        if canary is not None:
            self._leaving.add(canary.snapshot.main)
            self._live.with_canary(None)

    def _end_shadow(self, shadow: Shadow) -> None:
        self._live.with_shadow(None)
        shadow.stop()


def same_bundle(opened: Bundle, path: Path) -> bool:
    """Whether an opened bundle is the one that lies at a path by now. Raises BundleError when none lies there."""
    return opened.path == path and read_manifest(path)["fingerprint"] == opened.fingerprint

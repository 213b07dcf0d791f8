"""What answers now: one reference, replaced whole, while every request goes on with the one that it took.

A canary is a second one of its kind, which the desk of the first knows; what follows item changes follows them in both.
"""

import threading
from collections.abc import Sequence

from features.moments import SECOND
from serving.desk.assignment import Split
from serving.desk.beside import ALONE, Beside, CanaryDesk
from serving.desk.desk import Desk
from serving.desk.input_watch import tell_references
from serving.events.effect_watch import tell_effects
from serving.items.snapshot import Snapshot
from serving.metrics import BUNDLE_NEWEST_EVENT, BUNDLES, CANARY_SHARE, ITEMS_CHANGED
from serving.shadow.shadow import Shadow
from serving.telemetry.current import name_bundle


class Live:
    """The present snapshot and the desk over it. Reading takes no lock; whoever replaces holds `changing`."""

    def __init__(self, snapshot: Snapshot, desk: Desk, *, told: bool = True) -> None:
        """`desk` stands over the snapshot's pipeline; a canary's standing is told by the one that it stands beside."""
        self.changing = threading.Lock()
        """Held from reading a snapshot to replacing it with one made from it, so that none is lost."""
        self.canary: Live | None = None
        """What answers a share of the people in this one's place."""
        self._now = (snapshot, desk)
        self._told = told
        self._shadow: Shadow | None = None
        self._names: list[str] = []
        self._tell()

    @property
    def snapshot(self) -> Snapshot:
        """What answers now."""
        return self._now[0]

    @property
    def desk(self) -> Desk:
        """The desk for one request; the next request may get another."""
        return self._now[1]

    @property
    def all(self) -> "Sequence[Live]":
        """This one, and the canary if there is one."""
        canary = self.canary
        return (self,) if canary is None else (self, canary)

    def replace(self, snapshot: Snapshot) -> None:
        """Let another snapshot answer from the next request on."""
        self._now = (snapshot, self.desk.over(snapshot.pipeline))
        self._tell()

    def made_canary(self, snapshot: Snapshot) -> "Live":
        """A snapshot as a canary of this one: its desk has the same store, and nothing beside it."""
        return Live(snapshot, self.desk.over(snapshot.pipeline).beside_others(ALONE), told=False)

    def with_canary(self, canary: "Live | None", split: Split | None = None) -> None:
        """Let another bundle answer a share of the people from the next request on, or none any more."""
        with self.changing:
            share = None if canary is None or split is None else CanaryDesk(lambda: canary.desk, split)
            self.canary = canary
            self._beside(self.desk.beside._replace(canary=share))
        CANARY_SHARE.set(0.0 if split is None else split.share)
        self._tell()

    def with_shadow(self, shadow: Shadow | None) -> None:
        """Let a shadow be asked too from the next request on, or none any more."""
        with self.changing:
            former, self._shadow = self._shadow, shadow
            self._beside(self.desk.beside._replace(shadow=shadow))
        self._tell_bundles(left=[former.name] if former and former.name else ())

    def _beside(self, beside: Beside) -> None:
        self._now = (self.snapshot, self.desk.beside_others(beside))

    def _tell(self) -> None:
        if not self._told:
            return
        name_bundle(self.snapshot.main.name)
        ITEMS_CHANGED.set(max(len(one.snapshot.delta) for one in self.all))
        BUNDLE_NEWEST_EVENT.set(min(_newest_event(one.snapshot) for one in self.all))
        self._tell_bundles()

    def _tell_bundles(self, left: Sequence[str] = ()) -> None:
        """Which bundles answer, when they are others than before; a shadow leaves when it has been one."""
        shadow = self._shadow
        names = [one.snapshot.main.name for one in self.all] + ([shadow.name] if shadow and shadow.name else [])
        if left or names != self._names:
            BUNDLES.in_use(names, left)
            tell_references(one.snapshot.main for one in self.all)
            tell_effects(one.snapshot.main for one in self.all)
            self._names = names


def _newest_event(snapshot: Snapshot) -> float:
    """In seconds since the epoch; 0 where events have no time."""
    main = snapshot.main
    return float(main.manifest.get("newest_event", 0) / SECOND) if main.schema.timed else 0.0

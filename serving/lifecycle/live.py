"""What answers now: one reference, replaced whole, while every request goes on with the one that it took."""

import threading

from features.moments import SECOND
from serving.desk.desk import Desk
from serving.items.snapshot import Snapshot
from serving.metrics import BUNDLE_NEWEST_EVENT, ITEMS_CHANGED


class Live:
    """The present snapshot and the desk over it. Reading takes no lock; whoever replaces holds `changing`."""

    def __init__(self, snapshot: Snapshot, desk: Desk) -> None:
        """`desk` stands over the snapshot's pipeline."""
        self.changing = threading.Lock()
        """Held from reading a snapshot to replacing it with one made from it, so that none is lost."""
        self._now = (snapshot, desk)
        _tell(snapshot)

    @property
    def snapshot(self) -> Snapshot:
        """What answers now."""
        return self._now[0]

    @property
    def desk(self) -> Desk:
        """The desk for one request; the next request may get another."""
        return self._now[1]

    def replace(self, snapshot: Snapshot) -> None:
        """Let another snapshot answer from the next request on."""
        self._now = (snapshot, self.desk.over(snapshot.pipeline))
        _tell(snapshot)


def _tell(snapshot: Snapshot) -> None:
    main = snapshot.main
    ITEMS_CHANGED.set(len(snapshot.delta))
    BUNDLE_NEWEST_EVENT.set(main.manifest.get("newest_event", 0) / SECOND if main.schema.timed else 0)

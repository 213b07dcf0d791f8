"""Item changes on their way from the shared log into what answers: every worker takes what it has not seen.

A change that the bundle cannot read, such as one from before another data set, is told and passed over, so that
it does not hold up those behind it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import time

from features.moments import SECOND
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.metrics import ITEM_CHANGE_AGE_SECONDS, ITEM_CHANGE_SECONDS, ITEMS_WAITING
from serving.state.item_log import ItemChange, ItemLog

LOOK_SECONDS = 0.04
"""Between two looks at the log."""
PAGE = 1_000
"""Changes that become visible together."""

_LOG = logging.getLogger("bentoml.tailorbird")
_UNREADABLE = "item change %d cannot be applied to bundle %s and is passed over: %s"


class ItemFollower:
    """Keeps one worker up to date with the log, its canary too."""

    def __init__(
        self, live: Live, log: ItemLog, open_snapshot: Callable[[Path], Snapshot], clock: Callable[[], float] = time
    ) -> None:
        """`open_snapshot` opens a bundle without later changes; `clock` gives seconds since the epoch."""
        self._live = live
        self._log = log
        self._open = open_snapshot
        self._clock = clock

    def look(self) -> None:
        """Apply what is new. Raises StateError when the log does not answer."""
        newest = self._log.newest()
        ITEMS_WAITING.set(max(newest - self._live.snapshot.number, 0))
        for live in self._live.all:
            self._bring(live, newest)

    def _bring(self, live: Live, newest: int) -> None:
        number = live.snapshot.number
        if newest < number and number > live.snapshot.trained_on:
            self._begin_again(live)
        if newest <= number:
            return
        with live.changing:
            for page, snapshot in newer(live.snapshot, self._log):
                ITEM_CHANGE_AGE_SECONDS.set(self._age(page[0]))
                live.replace(snapshot)
                ITEMS_WAITING.set(max(newest - snapshot.number, 0))
                for change in page:
                    ITEM_CHANGE_SECONDS.observe(self._age(change))
        ITEM_CHANGE_AGE_SECONDS.set(0)

    def _begin_again(self, live: Live) -> None:
        """The log was put back to an earlier state: what it no longer holds must not be shown, so nothing is kept."""
        _LOG.warning("the log of item changes went back; what it holds now is applied to the bundle anew")
        with live.changing:
            live.replace(up_to_date(self._open(live.snapshot.main.path), self._log))

    def _age(self, change: ItemChange) -> float:
        return max(self._clock() - change.moment / SECOND, 0.0)


def up_to_date(snapshot: Snapshot, log: ItemLog) -> Snapshot:
    """A snapshot with every change that its log holds by now."""
    for _, newest in newer(snapshot, log):
        snapshot = newest
    return snapshot


def newer(snapshot: Snapshot, log: ItemLog, page: int = PAGE) -> Iterator[tuple[list[ItemChange], Snapshot]]:
    """The changes that a snapshot has not seen, a page at a time, each with the snapshot that has them."""
    while changes := log.after(snapshot.number, page):
        snapshot = _applied(snapshot, changes)
        yield changes, snapshot


def _applied(snapshot: Snapshot, changes: Sequence[ItemChange]) -> Snapshot:
    """With all changes that can be read: a page that holds one that cannot is halved until it stands alone."""
    try:
        return snapshot.after(changes)
    except Exception as error:
        if len(changes) == 1:
            _LOG.error(_UNREADABLE, changes[0].number, snapshot.main.name, type(error).__name__)
            return snapshot.passing(changes[0].number)
    half = len(changes) // 2
    return _applied(_applied(snapshot, changes[:half]), changes[half:])

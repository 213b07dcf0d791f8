"""The shadow's side of the line: a process at the lowest priority that opens a bundle and answers like the live one.

It shares no lock, no memory and no store of people with the worker that asks it, so that whatever it does, however slow
or broken it is, live answers are as they would be without it. Item changes it reads from their log by itself.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from features.errors import StateError
from serving.answers import Query
from serving.filters import FilterReader
from serving.items.changes import up_to_date
from serving.items.snapshot import Snapshot
from serving.retrieval.device import Device
from serving.shadow.comparing import Listed, Question
from serving.state import ItemLog, open_item_log

NICE = 19
ITEMS_SECONDS = 1.0
"""Between two looks at the log of item changes."""
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Opened:
    """How a bundle is opened as a shadow; plain data that another process reads."""

    bundle: Path
    open_snapshot: Callable[[Path, ItemLog, int, Device], Snapshot]
    """How a live one is opened: verified, and asked its golden requests."""
    state: str
    """URL of the store, for the log of item changes."""
    newest_events: int
    device: Device

    def __call__(self) -> Callable[[Question | None], Listed | str]:
        """Verify and open the bundle. Raises BundleError, ConfigError or StateError, as opening a live one does."""
        os.nice(NICE)
        log = open_item_log(self.state, patience=_PATIENCE_SECONDS)
        return Answering(self.open_snapshot(self.bundle, log, self.newest_events, self.device), log)


class Answering:
    """Answers questions one after the other."""

    def __init__(self, snapshot: Snapshot, log: ItemLog) -> None:
        """`snapshot` is of a bundle that gave its golden answers; `log` tells what items changed since."""
        self._snapshot = snapshot
        self._log = log
        self._filters = FilterReader(snapshot.main.schema.dataset)
        self._next_look = 0.0

    def __call__(self, asked: Question | None) -> Listed | str:
        """The list for a question; for none the bundle's name."""
        if asked is None:
            return self._snapshot.main.name
        self._follow()
        chosen = None if asked.filter is None else self._filters.read(asked.filter)
        query = Query(k=asked.k, exclude=asked.exclude, filter=chosen)
        answer = self._snapshot.pipeline.recommend(asked.person, query, asked.moment)
        return Listed({item.item_id: item.score for item in answer.items}, sum(answer.timings.values()))

    def _follow(self) -> None:
        """Take what is new in the log; while it does not answer, go on with what is known."""
        if monotonic() >= self._next_look:
            with suppress(StateError):
                self._snapshot = up_to_date(self._snapshot, self._log)
            self._next_look = monotonic() + ITEMS_SECONDS

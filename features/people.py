"""Person records made from tables: what training and batch ask the pipeline about.

A record made here for a user and a moment equals the one that the state makes from the same events.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.arrays import IntArray
from features.dataset import DatasetConfig
from features.events import AttributeTable, EventTable, Tables
from features.person import RECENT_EVENTS, Change, Events, Person, Taken


class People:
    """Persons by user id, from one set of tables."""

    def __init__(self, dataset: DatasetConfig, tables: Tables) -> None:
        events = tables.events
        shown = np.array([name in dataset.exposures for name in events.types])
        self.events = events.where(~shown[events.type_codes])
        """All events but exposures."""
        self._offsets = self.events.offsets
        self._again = again_rows(self.events)
        self._codes = {user: code for code, user in enumerate(events.users)}
        self._attributes = _static(tables.users)
        self._changes = _changing(tables.users)

    @property
    def user_ids(self) -> Sequence[str]:
        """Users with at least one event that is no exposure, sorted."""
        return [str(user) for user, _, _ in self.events.by_user()]

    def span(self, user_id: str) -> tuple[int, int]:
        """First and past-the-last row of a user's events; an empty span for a stranger."""
        code = self._codes.get(user_id)
        return (0, 0) if code is None else (int(self._offsets[code]), int(self._offsets[code + 1]))

    def person(self, user_id: str, moment: int | None = None, seen: int | None = None) -> Person:
        """The record of a user as of a moment (included); all that is known when None.

        With `seen`, events that came later than that number are not in it, however early they are dated.
        """
        start, stop = self.span(user_id)
        if moment is not None:
            stop = start + int(np.searchsorted(self.events.moments[start:stop], moment, side="right"))
        events, taken = self._until(start, stop, seen)
        return Person(
            events=events,
            taken=taken,
            attributes=self._attributes.get(user_id, {}),
            changes=self._changes.get(user_id, {}),
        )

    def _until(self, start: int, stop: int, seen: int | None) -> tuple[Events, Taken]:
        """The newest of one user's rows, and all that was taken by them, without what came after `seen`."""
        arrivals = self.events.arrivals
        if seen is not None and arrivals is not None and (arrivals[start:stop] > seen).any():
            known = self.events.where(start + np.flatnonzero(arrivals[start:stop] <= seen))
            taken = _taken(known, np.flatnonzero(again_rows(known) == len(known)))
            return known.slice_of(max(0, len(known) - RECENT_EVENTS), len(known)), taken
        taken = _taken(self.events, start + np.flatnonzero(self._again[start:stop] >= stop))
        return self.events.slice_of(max(start, stop - RECENT_EVENTS), stop), taken

    def after(self, row: int, newest: int) -> Person:
        """The record of whoever an event is of, right after it: its `newest` events, of what was taken nothing."""
        user = int(self.events.user_codes[row])
        user_id = str(self.events.users[user])
        return Person(
            events=self.events.slice_of(max(int(self._offsets[user]), row + 1 - newest), row + 1),
            attributes=self._attributes.get(user_id, {}),
            changes=self._changes.get(user_id, {}),
        )

    def whole(self, user_id: str) -> Person:
        """The record with every event, uncapped: what the towers are fitted on."""
        start, stop = self.span(user_id)
        return Person(
            events=self.events.slice_of(start, stop),
            attributes=self._attributes.get(user_id, {}),
            changes=self._changes.get(user_id, {}),
        )


def again_rows(events: EventTable) -> IntArray:
    """int64 [N]: the row of the user's next event of the same type with the same item; N when there is none."""
    keys = (events.user_codes * len(events.items) + events.item_codes) * len(events.types) + events.type_codes
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    again = np.full(len(events), len(events), dtype=np.int64)
    again[order[:-1][same]] = order[1:][same]
    return again


def _taken(events: EventTable, rows: IntArray) -> Taken:
    """Every (item, type) of one user with its newest moment, oldest first, given the rows of those."""
    types = [events.types[code] for code in events.type_codes[rows].tolist()]
    return Taken(events.items[events.item_codes[rows]].tolist(), types, events.moments[rows])


def _static(users: AttributeTable) -> dict[str, dict[str, Any]]:
    names = list(users.columns)
    rows = zip(*(users.columns[name] for name in names), strict=True) if names else ()
    return {user: dict(zip(names, row, strict=True)) for user, row in zip(users.ids, rows, strict=False)}


def _changing(users: AttributeTable) -> Mapping[str, Mapping[str, Sequence[Change]]]:
    found: defaultdict[str, dict[str, list[Change]]] = defaultdict(dict)
    for name, changes in users.changes.items():
        for code, moment, value in zip(changes.entity_codes, changes.moments, changes.values, strict=True):
            found[users.ids[code]].setdefault(name, []).append(Change(int(moment), value))
    return dict(found)

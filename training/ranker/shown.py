"""Lists as people saw them, from exported logs: what was shown in which slot, and what was taken of it.

Only what was shown can have been passed over. A list is what one person was shown in answer to one request, or at one
moment; an item of it was taken when the person acted on it soon after. Each item that was taken gives an example, held
against those of its list that were not; of a list of which nothing was taken nothing can be ordered. Where the answer
is in the log of what was served, the person is as that answer knew them: at its moment, without events that came later.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.dataset import DatasetConfig
from features.events import EventTable, Tables
from features.moments import HOUR
from features.people import People
from features.served import ServedAnswer
from serving.desk.inline import with_events
from serving.events.served import events_told
from training.moments import Moment, Shown


class _Taken(NamedTuple):
    """An item of a list that was taken."""

    exposure: int
    """Its row among the exposures."""
    actions: IntArray
    """Rows of what was done with it."""
    slots: Mapping[str, int]
    """Of it and of what was passed over."""


class ShownLists:
    """The lists of some span of time of which something was taken."""

    def __init__(
        self, dataset: DatasetConfig, tables: Tables, people: People, inside: BoolArray, within_hours: float
    ) -> None:
        """`inside`, a mask over `people.events`, says what may be known of actions; lists lie in their span of time."""
        self._people, self._served = people, tables.served
        self._exposures = _exposures(dataset, tables.events, people.events.moments[inside])
        self._actions = _Actions(people.events, inside, round(within_hours * HOUR))
        self.led_to: BoolArray = np.zeros(len(people.events), dtype=np.bool_)
        """bool over `people.events`: what people did with items that they had been shown."""
        self._taken = [one for rows in _lists(self._exposures) for one in self._taken_of(rows)]

    def moments(self, limit: int, seed: int) -> list[Moment]:
        """A moment for each item that was taken, at most `limit`, drawn evenly."""
        chosen = np.arange(len(self._taken))
        if len(chosen) > limit:
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
        return [self._moment(self._taken[index]) for index in chosen.tolist()]

    def _taken_of(self, rows: IntArray) -> list[_Taken]:
        """What was taken of one list, given the rows of its exposures."""
        events = self._exposures
        _, first = np.unique(events.item_codes[rows], return_index=True)
        rows = rows[np.sort(first)]
        done = {row: self._actions.after(events, row) for row in rows.tolist()}
        slots = {row: int(events.details["position"][row]) for row in done}
        items = {row: str(events.items[events.item_codes[row]]) for row in done}
        passed_over = {items[row]: slots[row] for row, actions in done.items() if len(actions) == 0}
        found = []
        for row, actions in done.items():
            if len(actions):
                self.led_to[actions] = True
                found.append(_Taken(row, actions, {items[row]: slots[row], **passed_over}))
        return found if passed_over else []

    def _moment(self, taken: _Taken) -> Moment:
        shown, done, row = self._exposures, self._people.events, taken.exposure
        user = str(shown.users[shown.user_codes[row]])
        request = None if shown.requests is None else shown.requests[row]
        answer = self._served.find(request, user) if self._served else None
        moment = Moment(
            user_id=user,
            person=self._people.person(user, int(shown.moments[row]) - 1),
            moment=int(shown.moments[row]) - 1,
            item_id=str(shown.items[shown.item_codes[row]]),
            types=tuple(done.types[code] for code in np.unique(done.type_codes[taken.actions])),
            shown=Shown(taken.slots),
        )
        if answer is None:
            context = {name: column[row] for name, column in shown.contexts.items()}
            return moment._replace(person=replace(moment.person, context=context))
        return _as_answered(moment, self._people, answer)


def _as_answered(moment: Moment, people: People, answer: ServedAnswer) -> Moment:
    """The moment as the answer had it."""
    query: Mapping[str, Any] = answer.query
    person = people.person(moment.user_id, answer.moment, answer.seen)
    given = query.get("given", ())
    return moment._replace(
        person=replace(with_events(person, events_told(query)), context=query["context"]),
        moment=answer.moment,
        shown=Shown(
            slots=moment.shown.slots if moment.shown else {},
            exclude=query.get("exclude", ()),
            filter=query["filter"],
            wanted=len(given) + query.get("k", 0),
        ),
    )


def _exposures(dataset: DatasetConfig, events: EventTable, span: IntArray) -> EventTable:
    """What was shown in a known slot within the span of some moments."""
    position = events.details.get("position")
    if position is None or len(span) == 0:
        return events.where(np.zeros(len(events), dtype=np.bool_))
    shown = np.array([name in dataset.exposures for name in events.types])[events.type_codes]
    within = (events.moments >= span.min()) & (events.moments <= span.max())
    return events.where(shown & within & (np.nan_to_num(position) >= 1))


def _lists(exposures: EventTable) -> list[IntArray]:
    """Rows of the exposures of each list: of one person, and one request or, where none is named, one moment."""
    if len(exposures) == 0:
        return []
    moments = exposures.moments.tolist()
    requests = [None] * len(moments) if exposures.requests is None else exposures.requests.tolist()
    keys: dict[tuple[int, object], list[int]] = {}
    for row, (user, request, moment) in enumerate(zip(exposures.user_codes.tolist(), requests, moments, strict=True)):
        keys.setdefault((user, moment if request is None else request), []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in keys.values()]


class _Actions:
    """What people did, by person and item, in the order of time."""

    def __init__(self, events: EventTable, inside: BoolArray, window: int) -> None:
        self._window, self._items = window, len(events.items)
        rows = np.flatnonzero(inside)
        keys = events.user_codes[rows] * self._items + events.item_codes[rows]
        order = np.lexsort((events.moments[rows], keys))
        self._rows, self._moments = rows[order], events.moments[rows][order]
        self._keys, self._starts = np.unique(keys[order], return_index=True)
        self._starts = np.append(self._starts, len(rows))

    def after(self, exposures: EventTable, row: int) -> IntArray:
        """Rows of what somebody did within the window after an exposure with the item that was shown."""
        key = int(exposures.user_codes[row]) * self._items + int(exposures.item_codes[row])
        place = int(np.searchsorted(self._keys, key))
        if place == len(self._keys) or self._keys[place] != key:
            return self._rows[:0]
        start, stop = self._starts[place], self._starts[place + 1]
        shown = int(exposures.moments[row])
        low, high = np.searchsorted(self._moments[start:stop], (shown, shown + self._window), side="right")
        return self._rows[start + low : start + high]

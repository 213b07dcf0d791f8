"""The moments at which a model is asked: just before a person turned to an item.

A run is a person's unbroken sequence of events with one item, such as view, cart, purchase. Its first event is what
a recommendation could have brought about, so the moment lies before it; the types of the whole run are what came
of it. To predict the later events of a run would be to recommend the page that the person is looking at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.dataset import DatasetConfig
from features.events import EventTable
from features.people import People
from features.person import Person
from training.slices import positive_rows


class Shown(NamedTuple):
    """A list as it was shown, and the question that it answered."""

    slots: Mapping[str, int]
    """Slot from 1 of the item taken and of the items that nobody took, by id."""
    exclude: Sequence[str] = ()
    """Items that the question left out."""
    filter: str | None = None
    """The filter of the question."""
    wanted: int = 0
    """How many items the sources were asked for."""


class Moment(NamedTuple):
    """A person just before they turned to an item."""

    user_id: str
    person: Person
    """Knows nothing at or after the first event of the run."""
    moment: int
    """One tick before that event."""
    item_id: str
    types: tuple[str, ...]
    """Types of the run's events, each once."""
    shown: Shown | None = None
    """The list in which they found it, where one is known."""

    def wanted(self, dataset: DatasetConfig) -> bool:
        """Whether something positive came of it."""
        return any(dataset.types[name].sign == "positive" for name in self.types)


def first_of_runs(events: EventTable) -> BoolArray:
    """bool [N]: events whose item differs from the user's event before."""
    same_user = np.append(False, events.user_codes[1:] == events.user_codes[:-1])
    same_item = np.append(False, events.item_codes[1:] == events.item_codes[:-1])
    return np.asarray(~(same_user & same_item))


def wanted_turns(dataset: DatasetConfig, events: EventTable) -> BoolArray:
    """bool [N]: events of a positive type with which a person turned to an item: what transitions count."""
    return positive_rows(dataset, events) & first_of_runs(events)


def moments_among(people: People, keep: BoolArray, limit: int | None = None, seed: int = 0) -> list[Moment]:
    """Moments before the runs that begin in a mask over `people.events`, in row order; types count within the mask.

    At most `limit`, drawn evenly.
    """
    events = people.events
    starts = np.flatnonzero(first_of_runs(events))
    stops = np.append(starts[1:], len(events))
    chosen = np.flatnonzero(keep[starts])
    if limit is not None and len(chosen) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    return [_moment(people, keep, int(starts[run]), int(stops[run])) for run in chosen]


def _moment(people: People, keep: BoolArray, start: int, stop: int) -> Moment:
    events = people.events
    user, moment = str(events.users[events.user_codes[start]]), int(events.moments[start]) - 1
    types: IntArray = events.type_codes[start:stop][keep[start:stop]]
    return Moment(
        user_id=user,
        person=replace(
            people.person(user, moment), context={name: column[start] for name, column in events.contexts.items()}
        ),
        moment=moment,
        item_id=str(events.items[events.item_codes[start]]),
        types=tuple(events.types[code] for code in np.unique(types)),
    )

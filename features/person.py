"""A person as one request sees them: what they did, what they took, and what they are. Outside ids only.

The pipeline answers from this record alone, so that training, batch and the service can each make one
from their own store and get the same answer.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.preferences import NONE, Preferences

NO_CONTEXT: Mapping[str, Any] = {}
RECENT_EVENTS = 500
"""Newest events that a person's record holds; what was taken is never capped."""


@dataclass(frozen=True)
class Events:
    """Events of one person, oldest first; T events in parallel sequences."""

    item_ids: Sequence[str] = ()
    types: Sequence[str] = ()
    moments: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """int64 [T]; ties keep the order of arrival."""
    values: FloatArray = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    """float32 [T], NaN where there is none."""
    contexts: Sequence[Mapping[str, Any]] | None = None
    """The circumstances of each event; None when the data set has no context columns."""

    def __len__(self) -> int:
        return len(self.item_ids)

    def until(self, moment: int) -> "Events":
        """The events at or before a moment."""
        if len(self) == 0 or self.moments[-1] <= moment:
            return self
        return self[: int(np.searchsorted(self.moments, moment, side="right"))]

    def newest(self, count: int) -> "Events":
        """The newest `count` events."""
        return self if len(self) <= count else self[len(self) - count :]

    def __getitem__(self, part: slice) -> "Events":
        return Events(
            self.item_ids[part],
            self.types[part],
            self.moments[part],
            self.values[part],
            None if self.contexts is None else self.contexts[part],
        )


class Taken(NamedTuple):
    """Every (item, type) that a person ever did, with the newest moment: what the repeat rules read.

    Never capped, so that nothing seen comes back; parallel sequences of equal length.
    """

    item_ids: Sequence[str] = ()
    types: Sequence[str] = ()
    moments: IntArray = np.empty(0, dtype=np.int64)


class Change(NamedTuple):
    """A value of a changing attribute and the moment from which it holds."""

    moment: int
    value: Any


@dataclass(frozen=True)
class Person:
    """What is known of one person; the empty record is a stranger, who gets a good list too."""

    events: Events = field(default_factory=Events)
    """Newest events of all types but exposures, oldest first."""
    taken: Taken | None = None
    """None: derive it from `events` (enough when `events` is complete)."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Static attributes by name."""
    changes: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    """Changing attributes by name, each sorted by moment."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """The circumstances of the request itself, such as the device."""
    seen: int | None = None
    """A number that no event of this record exceeds in the log that it was read from; None when it came from none."""
    preferences: Preferences = NONE
    """What they declared."""

    def attribute(self, name: str, moment: int) -> Any:
        """The value of a static or changing attribute as of a moment; None when unknown."""
        if name in self.attributes:
            return self.attributes[name]
        value = None
        for change in self.changes.get(name, ()):
            if change.moment > moment:
                break
            value = change.value
        return value

    def without_attributes(self, names: Collection[str]) -> "Person":
        """The person as if these attributes had never been known."""
        return replace(
            self,
            attributes={name: value for name, value in self.attributes.items() if name not in names},
            changes={name: each for name, each in self.changes.items() if name not in names},
        )

    def taken_until(self, moment: int) -> Taken:
        """What was taken at or before a moment. `taken` must not hold anything later, unless its newest does."""
        if self.taken is None:
            past = self.events.until(moment)
            return Taken(past.item_ids, past.types, past.moments)
        if len(self.taken.moments) == 0 or int(self.taken.moments.max()) <= moment:
            return self.taken
        kept = np.flatnonzero(self.taken.moments <= moment).tolist()
        return Taken(
            [self.taken.item_ids[index] for index in kept],
            [self.taken.types[index] for index in kept],
            self.taken.moments[kept],
        )


def impersonal(person: Person) -> Person:
    """What an answer that is not personal knows of somebody: the circumstances, and what they hid."""
    return Person(context=person.context, preferences=person.preferences.hiding)

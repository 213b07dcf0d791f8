"""The table of events in memory: sorted columns and offsets, made once from whatever frame came in.

N events of U users; sorted by user id, then moment, then event id. A user's history is a slice, never a list column.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from features.arrays import BoolArray, FloatArray, IntArray
from features.event_details import Detail
from features.imported_consent import ImportedConsent
from features.person import Events
from features.served import ServedAnswers

Strings = npt.NDArray[np.object_]


@dataclass(frozen=True)
class EventTable:
    """Events of all users, users and items as codes into sorted arrays of ids."""

    users: Strings
    """Sorted user ids, [U]."""
    items: Strings
    """Sorted item ids that occur, [I]."""
    types: tuple[str, ...]
    """Type names; `type_codes` index this."""
    user_codes: IntArray
    """int64 [N], never decreasing."""
    item_codes: IntArray
    """int64 [N]."""
    type_codes: IntArray
    """int64 [N]."""
    moments: IntArray
    """int64 [N]: ms since the epoch, or the sequence number where events have no time."""
    values: FloatArray
    """float32 [N], NaN where there is none."""
    event_ids: Strings
    """Outside event ids, [N]."""
    contexts: Mapping[str, Strings]
    """Context columns by name, each [N]."""
    details: Mapping[Detail, npt.NDArray[np.float64]] = field(default_factory=dict)
    """What else the table tells: float64 [N] each, NaN where missing."""
    requests: Strings | None = None
    """Ids of the answers that led to the events, [N], None where there was none; None for a table without them."""
    arrivals: IntArray | None = None
    """int64 [N]: `order.sequence` beside a time; in exported logs the numbers in which events came. None without it."""

    def __len__(self) -> int:
        return len(self.user_codes)

    @property
    def offsets(self) -> IntArray:
        """int64 [U + 1]: the events of user u are rows offsets[u] to offsets[u + 1]."""
        return np.searchsorted(self.user_codes, np.arange(len(self.users) + 1)).astype(np.int64)

    def where(self, keep: BoolArray | IntArray) -> Self:
        """The events of a mask [N] or of rows; users and items keep their codes, also those left with no event."""
        return replace(
            self,
            user_codes=self.user_codes[keep],
            item_codes=self.item_codes[keep],
            type_codes=self.type_codes[keep],
            moments=self.moments[keep],
            values=self.values[keep],
            event_ids=self.event_ids[keep],
            contexts={name: column[keep] for name, column in self.contexts.items()},
            details={name: column[keep] for name, column in self.details.items()},
            requests=None if self.requests is None else self.requests[keep],
            arrivals=None if self.arrivals is None else self.arrivals[keep],
        )

    def compact(self) -> Self:
        """The same events, as if there had never been other users and items: those without an event get no code."""
        users, user_codes = np.unique(self.user_codes, return_inverse=True)
        items, item_codes = np.unique(self.item_codes, return_inverse=True)
        return replace(
            self,
            users=self.users[users],
            items=self.items[items],
            user_codes=user_codes.astype(np.int64),
            item_codes=item_codes.astype(np.int64),
        )

    def slice_of(self, start: int, stop: int) -> Events:
        """Rows `start` to `stop`, which must belong to one user, as a person's events."""
        return Events(
            item_ids=list(self.items[self.item_codes[start:stop]]),
            types=[self.types[code] for code in self.type_codes[start:stop]],
            moments=self.moments[start:stop],
            values=self.values[start:stop],
            contexts=self._contexts(start, stop) if self.contexts else None,
        )

    def _contexts(self, start: int, stop: int) -> list[dict[str, Any]]:
        columns = {name: column[start:stop] for name, column in self.contexts.items()}
        return [{name: column[row] for name, column in columns.items()} for row in range(stop - start)]

    def by_user(self) -> Iterator[tuple[str, int, int]]:
        """User id with the first and past-the-last row, for users with at least one event."""
        offsets = self.offsets
        for code, user in enumerate(self.users):
            if offsets[code] < offsets[code + 1]:
                yield user, int(offsets[code]), int(offsets[code + 1])


@dataclass(frozen=True)
class Changes:
    """A changing attribute of M entities: K changes sorted by (entity, moment)."""

    entity_codes: IntArray
    """int64 [K] into the ids of the table that it belongs to."""
    moments: IntArray
    """int64 [K]: from when the value holds."""
    values: Strings
    """[K]."""

    def where(self, keep: BoolArray) -> Self:
        """The changes of a mask [K]."""
        return replace(self, entity_codes=self.entity_codes[keep], moments=self.moments[keep], values=self.values[keep])


@dataclass(frozen=True)
class AttributeTable:
    """Attributes of users or items: one row per id, changing attributes beside."""

    ids: Strings
    """Outside ids, sorted, [M]."""
    columns: Mapping[str, Strings]
    """Static attributes by name, each [M]; None where missing."""
    changes: Mapping[str, Changes]
    """Changing attributes by name."""
    titles: Strings | None = None
    """Names for people to read, [M]."""
    available_from: IntArray | None = None
    """int64 [M]: first moment at which an item may be shown; the smallest int64 when always."""
    available_to: IntArray | None = None
    """int64 [M]: last moment at which an item may be shown; the largest int64 when for ever."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Tables:
    """Everything that one dataset section names, read."""

    events: EventTable
    users: AttributeTable
    items: AttributeTable
    fingerprint: str
    """SHA-256 over the content that was read: the data part of a bundle's provenance."""
    consent: ImportedConsent | None = None
    """What the people of the tables allow; None where nothing says so."""
    served: ServedAnswers | None = None
    """The log of what was served; None where none is named."""

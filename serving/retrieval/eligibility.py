"""Which items may be shown at a moment: to anybody, and to this person.

Each rule can say which items it keeps away, and why it does so with one of them: what is told of an item that was not
shown comes from the rules that made the answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from features.arrays import BoolArray, IntArray
from features.dataset import AfterDays
from features.moments import DAY
from features.person import Person, Taken
from features.schema import Schema
from features.vocabulary import RESERVED, Lookup
from serving.catalogue import Catalogue
from serving.retrieval.bitmap import Bitmap, contains, members, size, unpack, without

FEW = 10_000
"""Up to so many eligible items a source looks at each of them; among more it searches."""


@dataclass(frozen=True)
class Eligible:
    """The rows that one answer may show."""

    bitmap: Bitmap

    def has(self, rows: IntArray) -> BoolArray:
        """bool [n]: whether each row may be shown."""
        return contains(self.bitmap, rows)

    @cached_property
    def count(self) -> int:
        """Number of rows that may be shown."""
        return size(self.bitmap)

    @cached_property
    def few(self) -> IntArray | None:
        """The rows themselves, int64 [n] ascending, when they are at most `FEW`."""
        return members(self.bitmap) if self.count <= FEW else None

    def mask(self, n_rows: int) -> BoolArray:
        """bool [R]: the same, one by one."""
        return unpack(self.bitmap, n_rows)

    def among(self, others: Bitmap) -> "Eligible":
        """Those that are in another set too."""
        return Eligible(self.bitmap & others)

    def but(self, rows: IntArray) -> "Eligible":
        """All but some rows."""
        return Eligible(without(self.bitmap, rows)) if len(rows) else self


class Asking(NamedTuple):
    """What the rules read."""

    schema: Schema
    catalogue: Catalogue
    person: Person
    moment: int
    exclude: Collection[str] = ()
    known: Lookup | None = None
    """The rows of all that the person took, where they were looked for before."""


class Bar(NamedTuple):
    """One rule by which an item may not be shown."""

    rule: str
    since: int | None = None
    """From which moment on; None: all the time."""
    until: int | None = None
    """First moment at which it is no longer so; None: for good, or not known."""
    event_type: str | None = None
    """Of the person's event that is the cause."""
    event_moment: int | None = None
    """Of that event."""


class Rule(Protocol):
    """Something that keeps items away from one answer, and can say of each why."""

    def rows(self, asking: Asking) -> IntArray:
        """Rows that it keeps away, int64 [n]."""
        ...

    def bar(self, asking: Asking, row: int, /) -> Bar:
        """Why it keeps one of these rows away."""
        ...


class Excluded:
    """What the request itself does not want."""

    def rows(self, asking: Asking) -> IntArray:
        return asking.schema.items.rows(asking.exclude)

    def bar(self, _asking: Asking, _row: int, /) -> Bar:
        return Bar("excluded")


class TakenLately:
    """The repeat rules of the event types."""

    def rows(self, asking: Asking) -> IntArray:
        return taken_rows(asking.schema, asking.person, asking.moment, asking.known)

    def bar(self, asking: Asking, row: int, /) -> Bar:
        """The event that keeps the item away longest."""
        taken = asking.person.taken_until(asking.moment)
        ends = taken.moments + _spans(asking.schema, taken)
        mine = np.flatnonzero(asking.schema.items.rows(taken.item_ids) == row)
        longest = int(mine[np.argmax(ends[mine])])
        moment, end = int(taken.moments[longest]), float(ends[longest])
        return Bar("taken", moment, int(np.ceil(end)) if np.isfinite(end) else None, taken.types[longest], moment)


RULES: tuple[Rule, ...] = (Excluded(), TakenLately())
"""Beside being available, which is a matter of the moment alone."""


def open_to(
    schema: Schema,
    catalogue: Catalogue,
    person: Person,
    moment: int,
    exclude: Collection[str] = (),
    known: Lookup | None = None,
) -> Eligible:
    """Rows that may be shown to this person: those available now that no rule keeps away. `known` as in `Asking`."""
    asking = Asking(schema, catalogue, person, moment, exclude, known)
    eligible = Eligible(catalogue.openings.at(moment))
    for rule in RULES:
        eligible = eligible.but(rule.rows(asking))
    return eligible


def open_to_all(schema: Schema, catalogue: Catalogue, moment: int, exclude: Collection[str] = ()) -> Eligible:
    """Rows that may be shown to anybody now: available, and not excluded by the request."""
    return open_to(schema, catalogue, Person(), moment, exclude)


def bars(asking: Asking, row: int) -> tuple[Bar, ...]:
    """Every reason for which a known item may not be shown; none when it may."""
    here = np.array([row])
    found = tuple(rule.bar(asking, row) for rule in RULES if row in rule.rows(asking))
    if contains(asking.catalogue.openings.at(asking.moment), here)[0]:
        return found
    first, last = (int(edge[here][0]) for edge in (asking.catalogue.available_from, asking.catalogue.available_to))
    if asking.moment < first:
        return (Bar("unavailable", until=first), *found)
    return (Bar("unavailable", since=last + 1) if last < asking.moment else Bar("deleted"), *found)


def taken_rows(schema: Schema, person: Person, moment: int, known: Lookup | None = None) -> np.ndarray:
    """int64 [n]: rows that the repeat rules of the event types keep from coming again at `moment`."""
    taken = person.taken_until(moment)
    if not taken.item_ids:
        return np.empty(0, dtype=np.int64)
    rows = (known or schema.items).rows(taken.item_ids)
    kept: np.ndarray = rows[(moment - taken.moments < _spans(schema, taken)) & (rows >= RESERVED)]
    return kept


def _spans(schema: Schema, taken: Taken) -> np.ndarray:
    """float64 [n]: milliseconds after each event during which its item stays away."""
    rules = {name: _blocked_for(kind.repeat) for name, kind in schema.dataset.types.items()}
    return np.array([rules.get(name, 0.0) for name in taken.types])


def _blocked_for(repeat: str | AfterDays) -> float:
    """Milliseconds after an event during which its item stays away."""
    if isinstance(repeat, AfterDays):
        return repeat.after_days * DAY
    return np.inf if repeat == "never" else 0.0

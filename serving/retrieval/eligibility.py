"""Which items may be shown at a moment: to anybody, and to this person.

A rule about items alone goes into `open_to_all`, which binds every answer; one about the person into `open_to`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays import BoolArray, IntArray
from features.dataset import AfterDays
from features.moments import DAY
from features.person import Person
from features.schema import Schema
from features.vocabulary import RESERVED
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
        return Eligible(without(self.bitmap, rows))


def open_to(
    schema: Schema, catalogue: Catalogue, person: Person, moment: int, exclude: Collection[str] = ()
) -> Eligible:
    """Rows that may be shown to this person: those open to all but for what they took lately."""
    return open_to_all(schema, catalogue, moment, exclude).but(taken_rows(schema, person, moment))


def open_to_all(schema: Schema, catalogue: Catalogue, moment: int, exclude: Collection[str] = ()) -> Eligible:
    """Rows that may be shown to anybody now: available, and not excluded by the request."""
    return Eligible(catalogue.openings.at(moment)).but(schema.items.rows(exclude))


def taken_rows(schema: Schema, person: Person, moment: int) -> np.ndarray:
    """int64 [n]: rows that the repeat rules of the event types keep from coming again at `moment`."""
    taken = person.taken_until(moment)
    if not taken.item_ids:
        return np.empty(0, dtype=np.int64)
    rules = {name: _blocked_for(kind.repeat) for name, kind in schema.dataset.types.items()}
    spans = np.array([rules.get(name, 0.0) for name in taken.types])
    rows = schema.items.rows(taken.item_ids)
    kept: np.ndarray = rows[(moment - taken.moments < spans) & (rows >= RESERVED)]
    return kept


def _blocked_for(repeat: str | AfterDays) -> float:
    """Milliseconds after an event during which its item stays away."""
    if isinstance(repeat, AfterDays):
        return repeat.after_days * DAY
    return np.inf if repeat == "never" else 0.0

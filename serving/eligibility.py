"""Which items may be shown at a moment: to anybody, and to this person.

A rule about items alone goes into `closed_rows`, which binds every answer; one about the person into `blocked_rows`.
"""

from collections.abc import Collection

import numpy as np

from features.arrays import BoolArray
from features.dataset import AfterDays
from features.moments import DAY
from features.person import Person
from features.schema import Schema
from features.vocabulary import RESERVED
from serving.catalogue import Catalogue


def blocked_rows(
    schema: Schema, catalogue: Catalogue, person: Person, moment: int, exclude: Collection[str] = ()
) -> BoolArray:
    """bool [R]: rows that must not be shown to this person: those closed to all, and what they took lately."""
    blocked = closed_rows(schema, catalogue, moment, exclude)
    blocked[taken_rows(schema, person, moment)] = True
    return blocked


def closed_rows(schema: Schema, catalogue: Catalogue, moment: int, exclude: Collection[str] = ()) -> BoolArray:
    """bool [R]: rows that must not be shown to anybody now: reserved, not available, excluded by the request."""
    closed = catalogue.unavailable(moment)
    if exclude:
        closed[schema.items.rows(exclude)] = True
    return closed


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

"""A bundle's item tables as they read with a delta above them; nothing of the bundle itself is copied or changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from features.arrays import BoolArray, IntArray
from serving.catalogue import Catalogue
from serving.items.delta import Delta
from serving.items.layered import Layered
from serving.retrieval.bitmap import Bitmap
from serving.retrieval.openings import Openings
from serving.retrieval.statistics import Statistics


def changed_catalogue(base: Catalogue, delta: Delta) -> Catalogue:
    """The item tables with a delta above them."""
    rows, placed = delta.rows, np.any(delta.vectors, axis=1)
    n_rows = delta.n_rows + len(delta.new_ids)
    new = rows[rows >= delta.n_rows]
    return replace(
        base,
        vectors=Layered(base.vectors, rows, delta.vectors),
        id_vectors=Layered(base.id_vectors, new, np.zeros((len(new), base.id_vectors[rows[:0]].shape[1]), np.float32)),
        codes=Layered(base.codes, rows, delta.codes),
        available_from=Layered(base.available_from, rows, delta.available_from),
        available_to=Layered(base.available_to, rows, delta.available_to),
        titles=_ChangedTitles(base.titles, dict(zip(rows.tolist(), delta.titles, strict=True)), n_rows)
        if len(base.titles)
        else (),
        placed=_changed(base.placed, n_rows, rows, placed),
        openings=_ChangedOpenings(base.openings, delta, n_rows),
    )


def changed_statistics(base: Statistics, delta: Delta) -> Statistics:
    """The statistics with the new rows behind them: nobody did anything with those yet."""
    new = delta.rows >= delta.n_rows
    rows, seen = delta.rows[new], delta.first_seen[new]
    zeros = np.zeros(len(rows), dtype=np.float32)
    arrived = np.concatenate([base.arrived, rows[np.argsort(seen, kind="stable")]]).astype(np.int32)
    return replace(
        base,
        popularity=Layered(base.popularity, rows, zeros),
        recent=Layered(base.recent, rows, zeros),
        first_seen=Layered(base.first_seen, rows, seen),
        mean_value=Layered(base.mean_value, rows, zeros),
        arrived=arrived,
    )


@dataclass(frozen=True)
class _ChangedOpenings:
    """The openings of a base, but for the changed rows."""

    base: Openings
    delta: Delta
    n_rows: int

    def at(self, moment: int) -> Bitmap:
        delta = self.delta
        is_open = (delta.available_from <= moment) & (delta.available_to >= moment) & ~delta.gone
        return _changed(self.base.at(moment), self.n_rows, delta.rows, is_open)


@dataclass(frozen=True)
class _ChangedTitles(Sequence[str]):
    base: Sequence[str]
    changed: Mapping[int, str]
    n_rows: int
    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(self.n_rows))]
        return self.changed[place] if place in self.changed else self.base[place]


def _changed(base: Bitmap, n_rows: int, rows: IntArray, now: BoolArray) -> Bitmap:
    """A set over `n_rows` rows in which the members among some rows are others."""
    bitmap = np.zeros((n_rows + 7) // 8, dtype=np.uint8)
    bitmap[: len(base)] = base
    bits = np.uint8(1) << (rows & 7).astype(np.uint8)
    np.bitwise_and.at(bitmap, rows >> 3, ~bits)
    np.bitwise_or.at(bitmap, rows[now] >> 3, bits[now])
    return bitmap

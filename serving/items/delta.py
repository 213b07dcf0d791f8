"""What changed among the items since a bundle's own tables were written: items that came, changed, or went.

A delta never changes: a later one is made from it. An item of the bundle keeps its row and what was learned of its
id; a new one takes the next row behind the table, and is placed by its attributes alone. n changed rows, ascending.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from features.arrays import BoolArray, FloatArray, IntArray
from features.schema import Schema
from serving.catalogue import Catalogue


class ItemRecord(NamedTuple):
    """One item as it is from a moment on."""

    item_id: str
    attributes: Mapping[str, Any] | None
    """Every column of the item that has a value, title and availability among them; None: the item is gone."""
    moment: int
    """When it became so, in ms since the epoch."""


@dataclass(frozen=True)
class Delta:
    """The changed rows of an item table of R rows."""

    n_rows: int
    """R, without the new rows."""
    new_ids: tuple[str, ...]
    """Ids of the rows R, R + 1, ..."""
    rows: IntArray
    """int64 [n]"""
    vectors: FloatArray
    """float32 [n, D]"""
    codes: npt.NDArray[np.int32]
    """int32 [n, A]"""
    available_from: IntArray
    """int64 [n]"""
    available_to: IntArray
    """int64 [n]"""
    first_seen: IntArray
    """int64 [n]: moment of the first event or, of a new item, of its coming."""
    gone: BoolArray
    """bool [n]: deleted; never shown, but known as it was where it stands in somebody's history."""
    titles: tuple[str, ...]
    """n names; empty texts where there is none."""
    attributes: tuple[Mapping[str, Any], ...]
    """n sets of columns as they were given; empty for an item that is gone."""

    @classmethod
    def empty(cls, schema: Schema, catalogue: Catalogue) -> Self:
        """Nothing has changed yet."""
        none = np.empty(0, dtype=np.int64)
        width = (catalogue.vectors[none].shape[1], catalogue.codes[none].shape[1])
        return cls(
            n_rows=len(schema.items),
            new_ids=(),
            rows=none,
            vectors=np.empty((0, width[0]), dtype=np.float32),
            codes=np.empty((0, width[1]), dtype=np.int32),
            available_from=none,
            available_to=none,
            first_seen=none,
            gone=np.empty(0, dtype=np.bool_),
            titles=(),
            attributes=(),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def with_rows(self, changed: "Delta", new_ids: tuple[str, ...]) -> "Delta":
        """Both, where the rows of `changed` take the place of the earlier ones; `new_ids` are those of all new rows."""
        earlier = ~np.isin(self.rows, changed.rows)
        order = np.argsort(np.concatenate([self.rows[earlier], changed.rows]), kind="stable")

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(self, name)[earlier], getattr(changed, name)])[order]

        def listed(name: str) -> tuple[Any, ...]:
            mine = [one for one, stays in zip(getattr(self, name), earlier.tolist(), strict=True) if stays]
            both = [*mine, *getattr(changed, name)]
            return tuple(both[place] for place in order.tolist())

        arrays = ("rows", "vectors", "codes", "available_from", "available_to", "first_seen", "gone")
        lists = ("titles", "attributes")
        now: dict[str, Any] = {name: joined(name) for name in arrays} | {name: listed(name) for name in lists}
        return replace(self, new_ids=new_ids, **now)

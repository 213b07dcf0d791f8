"""What the events of a training slice say about each item: counts, recency, values. Frozen with the bundle.

R item rows. Windows are counted back from the newest event of the slice, never from the clock, so that a
service on old data still answers.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import ByRow, FloatArray, IntArray, mapped
from features.vocabulary import RESERVED

UNSEEN = np.iinfo(np.int64).max
Order = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Statistics:
    """One value per item row; rows without events hold zeros, UNSEEN for `first_seen`."""

    popularity: ByRow[np.float32]
    """float32 [R]: number of positive events."""
    recent: ByRow[np.float32]
    """float32 [R]: positive events weighted by 2^(-age / half-life); zeros where events have no time."""
    first_seen: ByRow[np.int64]
    """int64 [R]: moment of the first event."""
    mean_value: ByRow[np.float32]
    """float32 [R]: mean event value, shrunk towards the mean of all, minus that mean."""
    by_popularity: Order
    """int32 [R - 2]: rows, most popular first; ties go to the lower row."""
    by_recent: Order
    """int32 [R - 2]: the same by `recent`."""
    by_first_seen: Order
    """int32 [n]: rows that were seen, the earliest first."""
    newest: int
    """Moment of the newest event of the slice."""
    arrived: Order = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    """int32 [n]: rows that came behind the table after these statistics were made, the earliest first."""

    @classmethod
    def of(
        cls, *, popularity: FloatArray, recent: FloatArray, first_seen: IntArray, mean_value: FloatArray, newest: int
    ) -> Self:
        """Statistics with the orders that follow from them."""
        seen = np.flatnonzero(first_seen != UNSEEN)
        return cls(
            popularity,
            recent,
            first_seen,
            mean_value,
            by_popularity=_descending(popularity),
            by_recent=_descending(recent),
            by_first_seen=seen[np.argsort(first_seen[seen], kind="stable")].astype(np.int32),
            newest=newest,
        )

    def place_by_popularity(self, row: int) -> int:
        """How many items have more positive events, and one."""
        return _place(self.by_popularity, self.popularity, row)

    def place_by_recent(self, row: int) -> int:
        """The same by recent positive events."""
        return _place(self.by_recent, self.recent, row)

    def seen_since(self, moment: float, most: int) -> IntArray:
        """int64 [n <= most]: the newest of those rows that were first seen at or after a moment, ascending by time."""
        both = [self._since(order, moment, most) for order in (self.by_first_seen, self.arrived)]
        return np.concatenate(both)[-most:]

    def _since(self, order: Order, moment: float, most: int) -> IntArray:
        def first(place: int) -> int:
            return int(self.first_seen[order[place : place + 1].astype(np.int64)][0])

        start = bisect_left(range(len(order)), moment, key=first)
        return order[max(start, len(order) - most) :].astype(np.int64)

    def save(self, directory: Path) -> None:
        """Write one .npy per array."""
        directory.mkdir(parents=True, exist_ok=True)
        for one in fields(self):
            np.save(directory / f"{one.name}.npy", np.asarray(getattr(self, one.name)), allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        arrays = {one.name: mapped(directory / f"{one.name}.npy") for one in fields(cls) if one.name != "newest"}
        newest = int(np.load(directory / "newest.npy", allow_pickle=False))
        return cls(**arrays, newest=newest)


def _descending(values: FloatArray) -> Order:
    order: Order = (np.argsort(-values[RESERVED:], kind="stable") + RESERVED).astype(np.int32)
    return order


def _place(order: Order, values: ByRow[np.float32], row: int) -> int:
    def falling(place: int) -> float:
        return -float(values[order[place : place + 1].astype(np.int64)][0])

    return 1 + bisect_left(range(len(order)), -float(values[np.array([row])][0]), key=falling)

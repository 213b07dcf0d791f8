"""What the events of a training slice say about each item: counts, recency, values. Frozen with the bundle.

R item rows. Windows are counted back from the newest event of the slice, never from the clock, so that a
service on old data still answers.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from features.arrays import FloatArray, IntArray

UNSEEN = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Statistics:
    """One value per item row; rows without events hold zeros, UNSEEN for `first_seen`."""

    popularity: FloatArray
    """float32 [R]: number of positive events."""
    recent: FloatArray
    """float32 [R]: positive events weighted by 2^(-age / half-life); zeros where events have no time."""
    first_seen: IntArray
    """int64 [R]: moment of the first event."""
    mean_value: FloatArray
    """float32 [R]: mean event value, shrunk towards the mean of all, minus that mean."""
    newest: int
    """Moment of the newest event of the slice."""

    def save(self, directory: Path) -> None:
        """Write one .npy per array."""
        directory.mkdir(parents=True, exist_ok=True)
        for one in fields(self):
            np.save(directory / f"{one.name}.npy", np.asarray(getattr(self, one.name)), allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        arrays = {
            one.name: np.load(directory / f"{one.name}.npy", mmap_mode="r", allow_pickle=False)
            for one in fields(cls)
            if one.name != "newest"
        }
        newest = int(np.load(directory / "newest.npy", allow_pickle=False))
        return cls(**arrays, newest=newest)

"""How people go from item to item in the simulated shop: mostly within a group, else to what is popular.

n places (codes of items, or rows of a bundle), G groups.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.arrays import IntArray


class Walk(NamedTuple):
    """Steps from item to item: within a group, or to what is popular; codes or rows, whichever it was made of."""

    groups: IntArray
    """int64 [n]; -1 in reserved places."""
    members: IntArray
    """int64 [n]: places sorted by group."""
    starts: IntArray
    """int64 [G + 1] into `members`, of group g from starts[g] to starts[g + 1]."""
    heaped: npt.NDArray[np.float64]
    """float64 [n]: running sum of popularity."""

    @classmethod
    def over(cls, groups: IntArray, popularity: npt.NDArray[np.float64]) -> "Walk":
        """Only places that somebody took are walked to."""
        reached = np.flatnonzero(popularity)
        members = reached[np.argsort(groups[reached], kind="stable")]
        starts = np.searchsorted(groups[members], np.arange(groups.max() + 2))
        return cls(groups, members, starts, np.cumsum(popularity))

    def popular(self, count: int, draw: np.random.Generator) -> IntArray:
        """int64 [count] places by popularity."""
        found = np.searchsorted(self.heaped, draw.random(count) * self.heaped[-1], side="right")
        return np.asarray(np.minimum(found, len(self.heaped) - 1), dtype=np.int64)

    def near(self, places: IntArray, draw: np.random.Generator) -> IntArray:
        """int64, for each place another of its group, which must not be empty."""
        group = self.groups[places]
        first, size = self.starts[group], self.starts[group + 1] - self.starts[group]
        return np.asarray(self.members[first + (draw.random(places.shape) * size).astype(np.int64)])

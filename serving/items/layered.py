"""Values by row of which some were changed or appended after they were written to disk."""

from typing import Generic

import numpy as np
import numpy.typing as npt

from features.arrays import ByRow, IntArray, Scalar


class Layered(Generic[Scalar]):
    """A base by row, and above it the values of those rows that are not as they were. Never changes."""

    def __init__(self, base: ByRow[Scalar], rows: IntArray, values: "npt.NDArray[Scalar]") -> None:
        """`values` [n, ...] of `rows` int64 [n], ascending; rows past the end of the base follow one another."""
        self._base = base
        self._rows = rows
        self._values = values

    def __len__(self) -> int:
        return max(len(self._base), int(self._rows[-1]) + 1 if len(self._rows) else 0)

    def __getitem__(self, rows: IntArray) -> "npt.NDArray[Scalar]":
        found = self._base[np.where(rows < len(self._base), rows, 0)]
        if len(self._rows):
            places = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
            changed = self._rows[places] == rows
            found[changed] = self._values[places[changed]]
        return found

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> "npt.NDArray[Scalar]":
        return self[np.arange(len(self))].astype(dtype, copy=False) if dtype else self[np.arange(len(self))]

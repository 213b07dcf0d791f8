"""The array types that the packages pass to each other."""

from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

Scalar = TypeVar("Scalar", bound=np.generic, covariant=True)


class ByRow(Protocol[Scalar]):
    """Something that holds a value, or a vector, for each row of a table: an array, or what reads like one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: IntArray, /) -> "npt.NDArray[Scalar]":
        """The values of some rows, in a new array."""
        ...

    def __array__(self) -> "npt.NDArray[Scalar]":
        """The values of all rows."""
        ...

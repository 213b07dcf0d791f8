"""The array types that the packages pass to each other."""

import mmap
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

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


class Halved:
    """float32 values by row, held in 16 bits; every reader sees the same rounded number."""

    def __init__(self, held: "npt.NDArray[np.float16]") -> None:
        """`held` float16 [R, ...], which may be mapped from a file."""
        self.held = held

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, rows: "IntArray | slice") -> FloatArray:
        return self.held[rows].astype(np.float32)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> "npt.NDArray[Any]":
        return self.held.astype(dtype or np.float32)


def halved(values: FloatArray) -> FloatArray:
    """The same values in the three digits that 16 bits hold, so that `Halved` changes nothing of them."""
    return values.astype(np.float16).astype(np.float32)


def mapped(path: Path) -> "npt.NDArray[Any]":
    """The array of a .npy file, read-only, its pages shared between processes; never a pickle.

    A plain array over the mapping: numpy's own class for it costs half a microsecond more at each slice.
    """
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)


def let_go(array: "npt.NDArray[Any]") -> None:
    """Give back the memory of an array that `mapped` opened; what is asked for later is read from the file again.

    Nothing happens to an array that lies in memory.
    """
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)

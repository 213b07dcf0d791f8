"""The item tables of a bundle, memory-mapped and shared between processes.

R item rows (0 PAD, 1 UNKNOWN), D embedding_dim, E id_dim, A attribute codes.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import BoolArray, FloatArray, IntArray
from features.vocabulary import RESERVED

ALWAYS = np.iinfo(np.int64)
_ARRAYS = ("vectors", "id_vectors", "codes", "available_from", "available_to")


@dataclass(frozen=True)
class Catalogue:
    """What is known of each item, by row."""

    vectors: FloatArray
    """float32 [R, D], L2-normalised; zeros in the reserved rows, and for an item that the tower knows nothing of."""
    id_vectors: FloatArray
    """float32 [R, E]: trained id embeddings; zeros for an item without events."""
    codes: npt.NDArray[np.int32]
    """int32 [R, A]: attribute codes."""
    available_from: IntArray
    """int64 [R]: first moment at which an item may be shown."""
    available_to: IntArray
    """int64 [R]: last moment at which an item may be shown."""
    titles: tuple[str, ...] = ()
    """Names for people to read by row, empty when the data set has none."""
    placed: BoolArray = field(init=False)
    """bool [R]: rows with a vector that is not zero; the others are near to nothing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "placed", np.any(self.vectors, axis=1))

    def __len__(self) -> int:
        return len(self.vectors)

    def title(self, row: int) -> str | None:
        """The name of an item, if the data set has names."""
        return self.titles[row] or None if self.titles else None

    def unavailable(self, moment: int) -> BoolArray:
        """bool [R]: rows that may not be shown at a moment, the reserved ones among them."""
        closed: BoolArray = (self.available_from > moment) | (self.available_to < moment)
        closed[:RESERVED] = True
        return closed

    def save(self, directory: Path) -> None:
        """Write one .npy per array, and the titles."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(directory / f"{name}.npy", np.ascontiguousarray(getattr(self, name)), allow_pickle=False)
        (directory / "titles.json").write_text(json.dumps(self.titles, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
        titles = tuple(json.loads((directory / "titles.json").read_text(encoding="utf-8")))
        return cls(**arrays, titles=titles)

"""The item tables of a bundle, memory-mapped and shared between processes.

R item rows (0 PAD, 1 UNKNOWN), D embedding_dim, E id_dim, A attribute codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from features.arrays import ByRow, FloatArray, Halved, IntArray, halved, mapped
from features.texts import Texts
from serving.graph import Graph
from serving.retrieval.bitmap import Bitmap, pack
from serving.retrieval.openings import ALWAYS, Openings, SavedOpenings

__all__ = ["ALWAYS", "Catalogue"]

_ARRAYS = ("vectors", "id_vectors", "codes", "available_from", "available_to")
_NARROW = {"vectors": np.float16}


@dataclass(frozen=True)
class Catalogue:
    """What is known of each item, by row."""

    vectors: ByRow[np.float32]
    """float32 [R, D], L2-normalised; zeros in the reserved rows, and for an item that the tower knows nothing of.
    Held in 16 bits, which halves a worker's largest table; `item_vectors` rounds them once, for every reader."""
    id_vectors: ByRow[np.float32]
    """float32 [R, E]: trained id embeddings; zeros for an item without events."""
    codes: ByRow[np.int32]
    """int32 [R, A]: attribute codes."""
    available_from: ByRow[np.int64]
    """int64 [R]: first moment at which an item may be shown."""
    available_to: ByRow[np.int64]
    """int64 [R]: last moment at which an item may be shown."""
    titles: Sequence[str]
    """Names for people to read by row, empty when the data set has none."""
    placed: Bitmap
    """Rows with a vector that is not zero; the others are near to nothing."""
    openings: Openings

    def __len__(self) -> int:
        return len(self.vectors)

    def title(self, row: int) -> str | None:
        """The name of an item, if the data set has names."""
        return self.titles[row] or None if len(self.titles) else None

    def titles_of(self, rows: IntArray) -> list[str | None]:
        """The names of several items."""
        if not len(self.titles):
            return [None] * len(rows)
        names = self.titles.at(rows) if isinstance(self.titles, Texts) else [self.titles[row] for row in rows.tolist()]
        return [name or None for name in names]

    @classmethod
    def of(
        cls,
        *,
        vectors: np.ndarray,
        id_vectors: np.ndarray,
        codes: np.ndarray,
        available_from: IntArray,
        available_to: IntArray,
        titles: Sequence[str] = (),
    ) -> Self:
        """A catalogue from its arrays."""
        held = Halved(vectors.astype(np.float16))
        placed, openings = pack(np.any(vectors, axis=1)), SavedOpenings(available_from, available_to)
        return cls(held, id_vectors, codes, available_from, available_to, titles, placed, openings)

    def save(self, directory: Path) -> None:
        """Write one .npy per array, and the titles."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in (*_ARRAYS, "placed"):
            array = np.ascontiguousarray(np.asarray(getattr(self, name)), dtype=_NARROW.get(name))
            np.save(directory / f"{name}.npy", array, allow_pickle=False)
        Texts.of(self.titles).save(directory / "titles")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        arrays: dict[str, Any] = {name: mapped(directory / f"{name}.npy") for name in (*_ARRAYS, "placed")}
        arrays["vectors"] = Halved(arrays["vectors"])
        openings = SavedOpenings(arrays["available_from"], arrays["available_to"])
        return cls(**arrays, titles=Texts.load(directory / "titles"), openings=openings)


def item_vectors(item_tower: Graph, id_vectors: FloatArray, codes: IntArray) -> FloatArray:
    """float32 [n, D], as a catalogue holds them: items with id vectors [n, E] and attribute codes int64 [n, A]."""
    return halved(item_tower({"id_vectors": id_vectors, "attribute_codes": codes}))

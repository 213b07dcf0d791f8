"""Nearest-item search over item vectors.

The index holds L2-normalised vectors by item row and searches by inner product, which is what the towers are
trained on. Rows that may not be shown are given to the search, so that they never take an answer's place.
One query per call: batched queries change the low bits of the scores (DESIGN.md, "Direction").
"""

from pathlib import Path

import faiss
import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from features.errors import BundleError

NORM_TOLERANCE = 1e-3


class ItemIndex:
    """Exact inner-product index; positions are item rows."""

    def __init__(self, index: "faiss.Index") -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: FloatArray, first_row: int) -> "ItemIndex":
        """Index float32 [R, D]; rows below `first_row` are reserved.

        A zero vector is an item that the tower knows nothing of: its product of 0 would beat all that are unlike a
        query, so a search must block it. Raises BundleError if any other vector is not normalised.
        """
        norms = np.linalg.norm(vectors[first_row:], axis=1)
        norms = norms[norms > 0]
        if len(norms) and not np.allclose(norms, 1.0, atol=NORM_TOLERANCE):
            raise BundleError(
                f"item vectors must be L2-normalised; norms run from {norms.min():.3f} to {norms.max():.3f}",
                hint="Was the item tower exported without its last layer?",
            )
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index)

    def search(self, query: FloatArray, count: int, blocked: BoolArray) -> IntArray:
        """Rows of the `count` best items that are not blocked, best first; query float32 [D], blocked bool [R]."""
        bitmap = np.packbits(~blocked, bitorder="little")
        # The published types describe the C++ signatures, not the Python wrappers that take arrays.
        allowed = faiss.IDSelectorBitmap(bitmap)  # type: ignore[call-arg, arg-type]
        _, rows = self._index.search(query[None, :], count, params=faiss.SearchParameters(sel=allowed))  # type: ignore[call-arg]
        found: IntArray = rows[0][rows[0] >= 0]
        return found

    def save(self, path: Path) -> None:
        """Write the index file."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path) -> "ItemIndex":
        """Map an index file that a manifest's hash vouches for; pages are shared between processes."""
        faiss.omp_set_num_threads(1)
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY))

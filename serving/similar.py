"""Items for items: like them, along with them, or after them; no person needed."""

from typing import Literal

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from serving.bundle import Bundle
from serving.sources import dots


def similar_rows(
    bundle: Bundle,
    rows: IntArray,
    k: int,
    kind: Literal["similar", "goes_with", "next"],
    blocked: BoolArray,
) -> tuple[IntArray, FloatArray]:
    """Rows int64 [n <= k] and scores float32 [n], best first. `rows` are known; blocked rows never come back.

    similar: nearest item vectors, by cosine to the mean of the given ones; next: what follows the items at distance 1;
    goes_with: what follows them at any distance that the transitions count.
    """
    if len(rows) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    if kind == "similar":
        return _nearest(bundle, rows, k, blocked)
    scores = np.zeros(len(bundle.catalogue), dtype=np.float32)
    for row in rows.tolist():
        kernels = bundle.transitions.query(np.array([row])).kernels
        scores += kernels[:, 0] if kind == "goes_with" else kernels[:, 1]
    scores[blocked] = 0.0
    order = np.argsort(-scores, kind="stable")[:k]
    kept: IntArray = order[scores[order] > 0]
    return kept, scores[kept]


def _nearest(bundle: Bundle, rows: IntArray, k: int, blocked: BoolArray) -> tuple[IntArray, FloatArray]:
    vectors, placed = bundle.catalogue.vectors, bundle.catalogue.placed
    middle = vectors[rows].mean(axis=0)
    length = np.linalg.norm(middle)
    if length == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    middle = middle / length
    found = bundle.index.search(middle, k, blocked | ~placed)
    return found, dots(vectors[found], middle)

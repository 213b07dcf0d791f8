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

    similar: nearest item vectors (cosine); next: what follows the items at distance 1;
    goes_with: what follows them at any distance that the transitions count.
    """
    if len(rows) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    if kind == "similar":
        middle = bundle.catalogue.vectors[rows].mean(axis=0)
        found = bundle.index.search(middle, k, blocked)
        return found, dots(bundle.catalogue.vectors[found], middle)
    scores = np.zeros(len(bundle.catalogue), dtype=np.float32)
    for row in rows.tolist():
        kernels = bundle.transitions.query(np.array([row])).kernels
        scores += kernels[:, 0] if kind == "goes_with" else kernels[:, 1]
    scores[blocked] = 0.0
    order = np.argsort(-scores, kind="stable")[:k]
    kept: IntArray = order[scores[order] > 0]
    return kept, scores[kept]

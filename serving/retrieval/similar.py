"""Items for items: like them, along with them, or after them; no person needed."""

from typing import Literal

import numpy as np

from features.arrays import FloatArray, IntArray
from serving.bundle import Bundle
from serving.retrieval.eligibility import Eligible
from serving.retrieval.scores import dots
from serving.retrieval.transitions import KERNELS


def similar_rows(
    bundle: Bundle,
    rows: IntArray,
    k: int,
    kind: Literal["similar", "goes_with", "next"],
    eligible: Eligible,
) -> tuple[IntArray, FloatArray]:
    """Rows int64 [n <= k] and scores float32 [n], best first. `rows` are known; only eligible rows come back.

    similar: nearest item vectors, by cosine to the mean of the given ones; next: what follows the items at distance 1;
    goes_with: what follows them at any distance that the transitions count.
    """
    if len(rows) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    if kind == "similar":
        return _nearest(bundle, rows, k, eligible)
    column = KERNELS.index("last_item" if kind == "goes_with" else "last_item_next")
    evidence = [bundle.transitions.query(rows[place : place + 1]) for place in range(len(rows))]
    following = np.unique(np.concatenate([one.rows for one in evidence]))
    following = following[eligible.has(following)]
    scores = np.zeros(len(following), dtype=np.float32)
    for one in evidence:
        scores += one.kernels_of(following)[:, column]
    following, scores = following[scores > 0], scores[scores > 0]
    order = np.argsort(-scores, kind="stable")[:k]
    return following[order], scores[order]


def _nearest(bundle: Bundle, rows: IntArray, k: int, eligible: Eligible) -> tuple[IntArray, FloatArray]:
    vectors = bundle.catalogue.vectors
    middle = vectors[rows].mean(axis=0)
    length = np.linalg.norm(middle)
    if length == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    middle = middle / length
    found = bundle.index.search(middle, k, eligible.among(bundle.catalogue.placed))
    return found, dots(vectors[found], middle)

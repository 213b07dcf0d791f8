"""The two steps that every search ends with: exact products, and the best of them. n rows, D embedding_dim."""

import numpy as np

from features.arrays import FloatArray, IntArray


def dots(vectors: FloatArray, query: FloatArray) -> FloatArray:
    """float32 [n]: inner products of [n, D] with [D], each for itself, so that no batch size changes a bit."""
    return np.asarray(np.einsum("nd,d->n", vectors, query))


def best_of(rows: IntArray, values: FloatArray, count: int) -> IntArray:
    """The `count` of `rows` [n], ascending, that have the highest values [n]; ties go to the lower row."""
    if len(values) > count:
        floor = np.partition(values, len(values) - count)[len(values) - count]
        kept = np.flatnonzero(values >= floor)
        rows, values = rows[kept], values[kept]
    chosen: IntArray = rows[np.argsort(-values, kind="stable")[:count]]
    return chosen

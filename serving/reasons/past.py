"""Which parts of a person's past are worth hiding: the events with one item together, most promising first.

Events with the same item back each other up: without one of two views of it hardly anything changes. N explained rows,
T history events, U past items, D embedding_dim.
"""

import numpy as np

from features.arrays import FloatArray, IntArray
from serving.situation import Situation

RECENCY = 0.95
"""Promise of an event relative to the next newer one."""


def past_items(here: Situation, rows: IntArray, most: int) -> list[IntArray]:
    """Places in the history, int64 [n] ascending, of each of at most `most` items of the past, by item row.

    Where there are more, those are taken which promise most for some of the explained `rows` [N].
    """
    history = here.history.item_rows
    items, of_event = np.unique(history, return_inverse=True)
    chosen = np.arange(len(items))
    if len(items) > most:
        promise = _promise(here, rows, items, of_event)
        first = np.sort(np.argsort(np.argsort(-promise, axis=1, kind="stable"), axis=1), axis=0)[0]
        chosen = np.sort(np.lexsort((-promise.max(axis=0), first))[:most])
    return [np.flatnonzero(of_event == item) for item in chosen]


def _promise(here: Situation, rows: IntArray, items: IntArray, of_event: IntArray) -> FloatArray:
    """float32 [N, U]: for each explained row, how much likeness, transitions and recency speak for each item."""
    vectors, transitions = here.bundle.catalogue.vectors, here.bundle.transitions
    likeness = np.maximum(vectors[rows] @ vectors[items].T, 0.0)  # [N, U]
    followed = np.stack([transitions.between(items, int(row)) for row in rows])  # [N, U]
    strongest = np.maximum(followed.max(axis=1, keepdims=True), 1e-9)
    ages = len(of_event) - 1 - np.arange(len(of_event))
    recency = np.zeros(len(items), dtype=np.float32)
    np.add.at(recency, of_event, RECENCY**ages)
    promise: FloatArray = (likeness + followed / strongest + (rows[:, None] == items)) * recency
    return promise

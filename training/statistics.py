"""Counting what the pipeline's `Statistics` hold, from the events of one slice."""

import numpy as np

from features.arrays import FloatArray, IntArray
from features.events import EventTable
from features.moments import DAY
from features.schema import Schema
from serving.retrieval.statistics import UNSEEN, Statistics
from training.slices import positive_rows

VALUE_PRIOR = 10.0
"""Events' worth of the overall mean with which an item's mean value is shrunk."""


def fit_statistics(schema: Schema, events: EventTable, half_life_days: float) -> Statistics:
    """Statistics per item row of a schema."""
    positive = events.where(positive_rows(schema.dataset, events))
    rows = item_rows(schema, positive)
    count = len(schema.items)
    newest = int(positive.moments.max()) if len(positive) else 0
    return Statistics.of(
        popularity=np.bincount(rows, minlength=count).astype(np.float32),
        recent=_recent(rows, positive.moments, newest, half_life_days, count, timed=schema.reads_gaps),
        first_seen=_first_seen(rows, positive.moments, count),
        mean_value=_mean_value(rows, positive.values, count),
        newest=newest,
    )


def item_rows(schema: Schema, events: EventTable) -> IntArray:
    """int64 [N]: the item row of every event."""
    return schema.items.rows(events.items)[events.item_codes]


def _recent(
    rows: IntArray, moments: IntArray, newest: int, half_life_days: float, count: int, *, timed: bool
) -> FloatArray:
    if not timed:
        return np.zeros(count, dtype=np.float32)
    weights = 0.5 ** ((newest - moments) / (half_life_days * DAY))
    return np.bincount(rows, weights=weights, minlength=count).astype(np.float32)


def _first_seen(rows: IntArray, moments: IntArray, count: int) -> IntArray:
    first = np.full(count, UNSEEN, dtype=np.int64)
    np.minimum.at(first, rows, moments)
    return first


def _mean_value(rows: IntArray, values: FloatArray, count: int) -> FloatArray:
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(count, dtype=np.float32)
    mean = float(values[known].mean())
    excess = np.bincount(rows[known], weights=values[known] - mean, minlength=count)
    seen = np.bincount(rows[known], minlength=count)
    return (excess / (seen + VALUE_PRIOR)).astype(np.float32)

"""Candidate sources: each proposes items for a situation, and can score any item by its own measure.

Adding a source is one class here, its name in `SOURCES`, and its size in `SourceSizes`. R item rows.
"""

from typing import Protocol

import numpy as np

from features.arrays import FloatArray, IntArray
from features.moments import DAY
from serving.situation import Situation
from serving.statistics import UNSEEN


class Source(Protocol):
    """One way of finding items."""

    name: str

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        """Rows of at most `count` items that are not blocked, best first; int64 [n]."""
        ...

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        """This source's measure of any rows, float32 [n]; higher is better."""
        ...


class Nearest:
    """Items whose vector is nearest to the user vector."""

    name = "nearest"

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        blocked = situation.blocked | ~situation.bundle.catalogue.placed
        return situation.bundle.index.search(situation.user_vector, count, blocked)

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        return dots(situation.bundle.catalogue.vectors[rows], situation.user_vector)


class AfterHistory:
    """Items that often follow what the person did, by transition counts."""

    name = "transitions"

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        if len(situation.history.item_rows) == 0:
            return np.empty(0, dtype=np.int64)
        return best(situation.transitions.total, count, situation)

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        return situation.transitions.total[rows]


class Popular:
    """Items with most positive events."""

    name = "popular"

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        return best(situation.bundle.statistics.popularity, count, situation)

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        return np.log1p(situation.bundle.statistics.popularity[rows])


class Trending:
    """Items with most recent positive events."""

    name = "trending"

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        if not situation.bundle.schema.reads_gaps:
            return np.empty(0, dtype=np.int64)
        return best(situation.bundle.statistics.recent, count, situation)

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        return np.log1p(situation.bundle.statistics.recent[rows])


class Again:
    """Items of the person's own past that may come again, newest first."""

    name = "again"

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        newest_first = situation.history.item_rows[::-1]
        _, first = np.unique(newest_first, return_index=True)
        distinct = newest_first[np.sort(first)]
        kept: IntArray = distinct[~situation.blocked[distinct]][:count]
        return kept

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        """1 / (1 + number of events since the item's newest one); 0 for what was never taken."""
        last = np.zeros(len(situation.bundle.catalogue), dtype=np.float32)
        length = len(situation.history.item_rows)
        last[situation.history.item_rows] = 1.0 / np.arange(length, 0, -1, dtype=np.float32)
        return last[rows]


class New:
    """Items that appeared a short while ago, nearest to the user vector first."""

    name = "new"

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        if not situation.bundle.schema.reads_gaps:
            return np.empty(0, dtype=np.int64)
        catalogue = situation.bundle.catalogue
        fresh = np.flatnonzero(self._fresh(situation) & catalogue.placed & ~situation.blocked)
        order = np.argsort(-dots(catalogue.vectors[fresh], situation.user_vector), kind="stable")
        kept: IntArray = fresh[order[:count]]
        return kept

    def scores(self, situation: Situation, rows: IntArray) -> FloatArray:
        return self._fresh(situation)[rows].astype(np.float32)

    def _fresh(self, situation: Situation) -> np.ndarray:
        """bool [R]: counted back from the newest known event, so that an old service still has new items."""
        bundle = situation.bundle
        since = np.minimum(situation.moment, bundle.statistics.newest) - bundle.settings.new_days * DAY
        first = bundle.statistics.first_seen
        return np.asarray((first >= since) & (first != UNSEEN))


SOURCES: tuple[Source, ...] = (Nearest(), AfterHistory(), Popular(), Trending(), Again(), New())


def active_sources(situation: Situation) -> list[tuple[Source, int]]:
    """The sources that the settings switch on, with their sizes."""
    sizes = situation.bundle.settings.sources.model_dump()
    return [(source, sizes[source.name]) for source in SOURCES if sizes[source.name] > 0]


def best(scores: FloatArray, count: int, situation: Situation) -> IntArray:
    """Rows of the `count` highest scores [R] that are not blocked; ties go to the lower row."""
    allowed = np.flatnonzero(~situation.blocked)
    values = scores[allowed]
    if len(values) > count:
        floor = np.partition(values, len(values) - count)[len(values) - count]
        kept = np.flatnonzero(values >= floor)
        allowed, values = allowed[kept], values[kept]
    order = np.argsort(-values, kind="stable")[:count]
    chosen: IntArray = allowed[order]
    return chosen


def dots(vectors: FloatArray, query: FloatArray) -> FloatArray:
    """float32 [n]: inner products, each independent of the others, so that no batch size changes a bit."""
    return np.asarray(np.einsum("nd,d->n", vectors, query))

"""Candidate sources: each proposes items for a situation, and can score any item by its own measure.

Adding a source is one class here, its name in `SOURCES`, and its size in `SourceSizes`. R item rows.
"""

from typing import NamedTuple, Protocol

import numpy as np

from features.arrays import ByRow, FloatArray, IntArray
from serving.retrieval.bitmap import members
from serving.retrieval.eligibility import Eligible
from serving.retrieval.newcomers import Newcomers
from serving.retrieval.scores import best_of, dots
from serving.retrieval.statistics import UNSEEN, Order
from serving.situation import Situation


class Gathered(NamedTuple):
    """What the sources' scores and the ranker read of some items, gathered from the tables once."""

    rows: IntArray
    """int64 [n]"""
    vectors: FloatArray
    """float32 [n, D]"""
    evidence: FloatArray
    """float32 [n, kernels]: what the transitions say after the person's history."""
    newest_places: IntArray
    """int64 [n]: place in the history of the newest event with each; -1 where there is none."""
    popularity: FloatArray
    """float32 [n]: number of positive events."""
    recent: FloatArray
    """float32 [n]: recent positive events, weighted."""
    first_seen: IntArray
    """int64 [n]: moment of the first event."""


def gathered(situation: Situation, rows: IntArray) -> Gathered:
    """Read some rows for a situation."""
    statistics = situation.bundle.statistics
    return Gathered(
        rows,
        np.ascontiguousarray(situation.bundle.catalogue.vectors[rows]),
        situation.transitions.kernels_of(rows),
        newest_place(situation.history.item_rows, rows),
        statistics.popularity[rows],
        statistics.recent[rows],
        statistics.first_seen[rows],
    )


class Source(Protocol):
    """One way of finding items."""

    name: str
    personal: bool
    """Whether its list depends on who asks."""

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        """Rows of at most `count` eligible items, best first; int64 [n]."""
        ...

    def scores(self, situation: Situation, items: Gathered, /) -> FloatArray:
        """This source's measure of any items, float32 [n]; higher is better."""
        ...


class Nearest:
    """Items whose vector is nearest to the user vector."""

    name = "nearest"
    personal = True

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        bundle = situation.bundle
        return bundle.index.search(situation.user_vector, count, situation.eligible.among(bundle.catalogue.placed))

    def scores(self, situation: Situation, items: Gathered) -> FloatArray:
        return dots(items.vectors, situation.user_vector)


class AfterHistory:
    """Items that often follow what the person did, by transition counts."""

    name = "transitions"
    personal = True

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        following = situation.transitions
        shown = np.flatnonzero(situation.eligible.has(following.rows))
        return best_of(following.rows[shown], following.own_totals(shown), count)

    def scores(self, situation: Situation, items: Gathered) -> FloatArray:
        return situation.transitions.totals_of(items.rows, items.evidence)


class Popular:
    """Items with most positive events."""

    name = "popular"
    personal = False

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        statistics = situation.bundle.statistics
        return first_eligible(statistics.by_popularity, statistics.popularity, count, situation.eligible)

    def scores(self, _situation: Situation, items: Gathered, /) -> FloatArray:
        return np.log1p(items.popularity)


class Trending:
    """Items with most recent positive events."""

    name = "trending"
    personal = False

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        if not situation.bundle.schema.reads_gaps:
            return np.empty(0, dtype=np.int64)
        statistics = situation.bundle.statistics
        return first_eligible(statistics.by_recent, statistics.recent, count, situation.eligible)

    def scores(self, _situation: Situation, items: Gathered, /) -> FloatArray:
        return np.log1p(items.recent)


class Again:
    """Items of the person's own past that may come again, newest first."""

    name = "again"
    personal = True

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        newest_first = situation.history.item_rows[::-1]
        _, first = np.unique(newest_first, return_index=True)
        distinct = newest_first[np.sort(first)]
        kept: IntArray = distinct[situation.eligible.has(distinct)][:count]
        return kept

    def scores(self, situation: Situation, items: Gathered) -> FloatArray:
        """1 / (1 + number of events since the item's newest one); 0 for what was never taken."""
        places = items.newest_places
        since = len(situation.history.item_rows) - places
        scores: FloatArray = np.where(places >= 0, 1.0 / since, 0.0).astype(np.float32)
        return scores


class New:
    """Items that appeared a short while ago, nearest to the user vector first."""

    name = "new"
    personal = True

    def retrieve(self, situation: Situation, count: int) -> IntArray:
        if not situation.bundle.schema.reads_gaps:
            return np.empty(0, dtype=np.int64)
        bundle, since = situation.bundle, self._since(situation)
        newest = bundle.newcomers
        if since != newest.since:
            newest = Newcomers.since_moment(bundle.statistics, bundle.catalogue, since)
        shown = situation.eligible.has(newest.rows)
        return best_of(newest.rows[shown], dots(newest.vectors, situation.user_vector)[shown], count)

    def scores(self, situation: Situation, items: Gathered) -> FloatArray:
        first = items.first_seen
        fresh: FloatArray = ((first >= self._since(situation)) & (first != UNSEEN)).astype(np.float32)
        return fresh

    def _since(self, situation: Situation) -> float:
        """Counted back from the newest known event, so that an old service still has new items."""
        return situation.bundle.new_since(situation.moment)


SOURCES: tuple[Source, ...] = (Nearest(), AfterHistory(), Popular(), Trending(), Again(), New())


def active_sources(situation: Situation) -> list[tuple[Source, int]]:
    """The sources that the settings switch on, with their sizes."""
    sizes = situation.bundle.settings.sources.model_dump()
    return [(source, sizes[source.name]) for source in SOURCES if sizes[source.name] > 0]


def best(scores: FloatArray, count: int, situation: Situation) -> IntArray:
    """Eligible rows of the `count` highest scores [R]; for training, which judges the whole catalogue."""
    rows = members(situation.eligible.bitmap)
    return best_of(rows, scores[rows], count)


def first_eligible(order: Order, values: ByRow[np.float32], count: int, eligible: Eligible) -> IntArray:
    """The `count` eligible rows that come first in an order by descending `values`."""
    if eligible.few is not None:
        return best_of(eligible.few, values[eligible.few], count)
    found: list[IntArray] = []
    start, size, missing = 0, 2 * count, count
    while missing > 0 and start < len(order):
        part = order[start : start + size].astype(np.int64)
        found.append(part[eligible.has(part)][:missing])
        missing -= len(found[-1])
        start, size = start + size, 4 * size
    return np.concatenate([*found, np.empty(0, dtype=np.int64)])


def newest_place(history: IntArray, rows: IntArray) -> IntArray:
    """int64 [n]: place in a history [T], oldest first, of the newest event with each row; -1 where there is none."""
    distinct, first = np.unique(history[::-1], return_index=True)
    if len(distinct) == 0:
        return np.full(len(rows), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(distinct, rows), len(distinct) - 1)
    return np.where(distinct[places] == rows, len(history) - 1 - first[places], -1)

"""The union of what the sources propose, with each source's rank kept beside it. K candidates, S sources."""

from typing import NamedTuple

import numpy as np

from features.arrays import IntArray
from serving.retrieval.sources import SOURCES, Popular, active_sources
from serving.situation import Situation

UNRANKED = 0
FILLING = Popular()


class Candidates(NamedTuple):
    """Items to be ranked, each once, in ascending order of rows."""

    rows: IntArray
    """int64 [K] item rows."""
    ranks: IntArray
    """int64 [K, S]: place in each source's list from 1, `UNRANKED` where the source did not bring the item."""

    def sources_of(self, index: int) -> tuple[str, ...]:
        """Names of the sources that brought a candidate, the one that ranks it best first."""
        ranks = self.ranks[index].tolist()
        brought = sorted((rank, place) for place, rank in enumerate(ranks) if rank != UNRANKED)
        return tuple(SOURCES[place].name for _, place in brought)


def retrieve(situation: Situation, wanted: int = 0) -> Candidates:
    """Ask every active source; only eligible items come back, and at least `wanted` of them where there are so many.

    What the sources leave open is filled by popularity, so that a filter or a long history never empties an answer.
    """
    lists = {source.name: source.retrieve(situation, size) for source, size in active_sources(situation)}
    rows = _union(lists)
    if len(rows) < wanted:
        lists[FILLING.name] = FILLING.retrieve(situation, wanted)
        rows = _union(lists)
    return Candidates(rows, _ranks(rows, lists))


def given(situation: Situation, rows: IntArray) -> Candidates:
    """A given list as candidates, each with the place that it takes in the sources' own lists."""
    lists = {source.name: source.retrieve(situation, size) for source, size in active_sources(situation)}
    distinct = np.unique(rows)
    return Candidates(distinct, _ranks(distinct, lists))


def placed_again(situation: Situation, before: Candidates) -> Candidates:
    """The same candidates with the places that a change of what is known of the person gives them.

    `situation` may show the same rows as that of `before`: the other sources' lists are as they were.
    """
    ranks = before.ranks.copy()
    active = [(source, size) for source, size in active_sources(situation) if source.personal]
    personal = {source.name: source.retrieve(situation, size) for source, size in active}
    columns = [column for column, source in enumerate(SOURCES) if source.personal]
    ranks[:, columns] = _ranks(before.rows, personal)[:, columns]
    return Candidates(before.rows, ranks)


def _union(lists: dict[str, IntArray]) -> IntArray:
    return np.unique(np.concatenate([*lists.values(), np.empty(0, dtype=np.int64)]))


def _ranks(rows: IntArray, lists: dict[str, IntArray]) -> IntArray:
    """int64 [K, S] places of `rows`, ascending, in the lists; a list may hold others too."""
    ranks = np.full((len(rows), len(SOURCES)), UNRANKED, dtype=np.int64)
    if len(rows):
        for column, source in enumerate(SOURCES):
            found = lists.get(source.name, rows[:0])
            places = np.minimum(np.searchsorted(rows, found), len(rows) - 1)
            wanted = np.flatnonzero(rows[places] == found)
            ranks[places[wanted], column] = wanted + 1
    return ranks

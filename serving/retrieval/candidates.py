"""The union of what the sources propose, with each source's rank kept beside it. K candidates, S sources."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from serving.retrieval.preferred import names_categories, rows_of
from serving.retrieval.sources import SOURCES, Popular, active_sources, first_eligible
from serving.situation import Situation

UNRANKED = 0
FILLING = Popular()
INTERESTS = "interests"
"""What stands for a source where a declared interest brought an item; the ranker does not read it."""
MOST_INTERESTS = 20
"""Newest interests that bring candidates."""
PER_INTEREST = 30
"""Items that one interest may bring."""


class Candidates(NamedTuple):
    """Items to be ranked, each once, in ascending order of rows."""

    rows: IntArray
    """int64 [K] item rows."""
    ranks: IntArray
    """int64 [K, S]: place in each source's list from 1, `UNRANKED` where the source did not bring the item."""
    interests: IntArray | None = None
    """int64 [K]: the same among the items of the person's declared interests; None without interests."""
    plain: IntArray | None = None
    """int64 [K, S]: as `ranks`, in the lists of somebody unknown; None unless the person's list mixes both."""

    def sources_of(self, index: int) -> tuple[str, ...]:
        """Names of the sources that brought a candidate, the one that ranks it best first; interests last.

        Of one that was brought for somebody unknown alone, the sources that did so.
        """
        found = _names(self.ranks[index])
        if self.interests is not None and self.interests[index] != UNRANKED:
            found = (*found, INTERESTS)
        return found or (() if self.plain is None else _names(self.plain[index]))

    @property
    def personal(self) -> BoolArray:
        """bool [K]: which were brought for the person."""
        brought: BoolArray = (self.ranks != UNRANKED).any(axis=1)
        return brought if self.interests is None else brought | (self.interests != UNRANKED)


def retrieve(situation: Situation, wanted: int = 0) -> Candidates:
    """Ask every active source; only eligible items come back, and at least `wanted` of them where there are so many.

    What the sources leave open is filled by popularity, so that a filter or a long history never empties an answer.
    """
    return retrieve_all([situation], wanted)[0]


def retrieve_all(situations: Sequence[Situation], wanted: int = 0) -> list[Candidates]:
    """The same for several situations in one bundle, source by source over all of them."""
    lists = _lists(situations, wanted)
    return [_joined(here, own, wanted) for here, own in zip(situations, lists, strict=True)]


def _joined(situation: Situation, lists: dict[str, IntArray], wanted: int) -> Candidates:
    wished = of_interests(situation)
    plain = _lists([situation.plain], wanted)[0] if situation.mixed else None
    rows = _union(*lists.values(), *(() if wished is None else (wished,)), *(plain.values() if plain else ()))
    return _placed(rows, lists, wished, plain)


def given(situation: Situation, rows: IntArray, wanted: int = 0) -> Candidates:
    """A given list as candidates, each with the place that it takes in the sources' own lists.

    With `wanted` the lists are those of `retrieve` for as many, so that what it brought has the very same places.
    """
    plain = _lists([situation.plain], wanted)[0] if situation.mixed else None
    return _placed(np.unique(rows), _lists([situation], wanted)[0], of_interests(situation), plain)


def of_interests(situation: Situation) -> IntArray | None:
    """Rows of the most popular items of each declared interest, the interests taking turns; None without any."""
    bundle, interests = situation.bundle, situation.person.preferences.interests[:MOST_INTERESTS]
    if not interests:
        return None
    order, values = bundle.statistics.by_popularity, bundle.statistics.popularity
    known = [rows_of(bundle, one) for one in interests if names_categories(bundle, one.attribute)]
    lists = [first_eligible(order, values, PER_INTEREST, situation.eligible.among(one)).tolist() for one in known]
    turns = (row for turn in zip_longest(*lists) for row in turn if row is not None)
    return np.array(list(dict.fromkeys(turns)), dtype=np.int64)


def placed_again(situation: Situation, before: Candidates) -> Candidates:
    """The same candidates with the places that a change of what is known of the person gives them.

    `situation` may show the same rows as that of `before`: the other sources' lists are as they were.
    """
    ranks = before.ranks.copy()
    active = [(source, size) for source, size in active_sources(situation) if source.personal]
    personal = {source.name: source.retrieve(situation, size) for source, size in active}
    columns = [column for column, source in enumerate(SOURCES) if source.personal]
    ranks[:, columns] = _ranks(before.rows, personal)[:, columns]
    return before._replace(ranks=ranks)


def _lists(situations: Sequence[Situation], wanted: int = 0) -> list[dict[str, IntArray]]:
    """Each situation's lists of the active sources, filled by popularity where they bring fewer than `wanted`."""
    lists: list[dict[str, IntArray]] = [{} for _ in situations]
    for source, size in active_sources(situations[0]) if situations else ():
        for own, here in zip(lists, situations, strict=True):
            own[source.name] = source.retrieve(here, size)
    for own, here in zip(lists, situations, strict=True):
        if max(map(len, own.values()), default=0) < wanted and len(_union(*own.values())) < wanted:
            own[FILLING.name] = FILLING.retrieve(here, wanted)
    return lists


def _placed(
    rows: IntArray, lists: dict[str, IntArray], wished: IntArray | None, plain: dict[str, IntArray] | None
) -> Candidates:
    return Candidates(
        rows,
        _ranks(rows, lists),
        None if wished is None else _places(rows, wished),
        None if plain is None else _ranks(rows, plain),
    )


def _union(*lists: IntArray) -> IntArray:
    """int64 [n]: each row once, ascending; numpy's own `unique` takes three times as long for a few hundred."""
    rows = np.sort(np.concatenate([*lists, np.empty(0, dtype=np.int64)]))
    first = np.ones(len(rows), dtype=np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def _names(ranks: IntArray) -> tuple[str, ...]:
    brought = sorted((rank, place) for place, rank in enumerate(ranks.tolist()) if rank != UNRANKED)
    return tuple(SOURCES[place].name for _, place in brought)


def _ranks(rows: IntArray, lists: dict[str, IntArray]) -> IntArray:
    """int64 [K, S] places of `rows`, ascending, in the lists; a list may hold others too."""
    return np.stack([_places(rows, lists.get(source.name, rows[:0])) for source in SOURCES], axis=1)


def _places(rows: IntArray, found: IntArray) -> IntArray:
    """int64 [K] places of `rows`, ascending, in a list, from 1."""
    ranks = np.full(len(rows), UNRANKED, dtype=np.int64)
    if len(rows):
        places = np.minimum(np.searchsorted(rows, found), len(rows) - 1)
        wanted = np.flatnonzero(rows[places] == found)
        ranks[places[wanted]] = wanted + 1
    return ranks

"""Where one item stands for one person, and what would have to differ for it to be in the list.

Every stage of the way is asked for itself: the rules that made the list, the filter, the sources, the ranker. Nothing
is decided here a second time.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np

from features.arrays import BoolArray
from features.vocabulary import UNKNOWN
from serving.answers import Obstacle, Query, SourcePlace, Standing, Stop
from serving.filters import Filter
from serving.reasons.declared import ScoreRows
from serving.reasons.explaining import reasons_for
from serving.reasons.listed import Listed
from serving.reasons.occlusion import Score
from serving.retrieval.bitmap import contains
from serving.retrieval.candidates import Candidates, given
from serving.retrieval.eligibility import Asking, bars
from serving.retrieval.preferred import hidden, pinned_masks
from serving.retrieval.sources import active_sources
from serving.situation import Situation

LOOKED = 2_000
"""Items of each source's list among which an item's place is sought."""


def standing_of(
    made: Listed,
    row: int,
    item_id: str,
    query: Query,
    score_rows: ScoreRows,
    score: Score,
) -> Standing:
    """Where the item of a row stands; `score_rows` and `score` are those that made the list."""
    if row <= UNKNOWN:
        return Standing(item_id, query.k, (Obstacle("unknown"),))
    title = made.here.bundle.catalogue.title(row)
    closed = (*_barred(made.here, row, query), *_failed(made, row, query.filter))
    if closed:
        return Standing(item_id, query.k, closed, title)
    sources = tuple(_places(made.here, row))
    brought = made.candidates.rows == row
    others = made if brought.any() else _with(made, row, score_rows)
    index = int(np.flatnonzero(others.candidates.rows == row)[0])
    place, mine = int(np.flatnonzero(others.order == index)[0]) + 1, float(others.scores[index])
    found: tuple[Obstacle, ...] = () if brought.any() else (Obstacle("not_found"),)
    if place > query.k:
        shown = others.scores[others.order[: query.k]]
        found = (*found, Obstacle("ranked_low", needed=float(shown[shown >= mine].min(initial=shown.max()))))
    reasons = reasons_for(made, np.array([index]), score_rows, score)[0] if brought.any() else ()
    return Standing(item_id, query.k, found, title, place, mine, sources, reasons)


def _barred(here: Situation, row: int, query: Query) -> Iterator[Obstacle]:
    """The rules of what may be shown that keep the item away."""
    asking = Asking(here.bundle.schema, here.bundle.catalogue, here.person, here.moment, query.exclude)
    for bar in bars(asking, row):
        yield Obstacle(cast("Stop", bar.rule), bar.since, bar.until, bar.event_type, bar.event_moment)
    if hidden(here.bundle, here.person.preferences, np.array([row]))[0]:
        yield Obstacle("hidden")


def _failed(made: Listed, row: int, chosen: Filter | None) -> Iterator[Obstacle]:
    """The conditions of the filter that the item does not fulfil."""
    if chosen is None or made.passing is None or contains(made.passing, np.array([row]))[0]:
        return
    here = made.here
    for one in chosen.conditions():
        passing = here.bundle.filterable.passing(one, here.bundle.schema, here.person, here.moment)
        if not contains(passing, np.array([row]))[0]:
            yield Obstacle("filter", condition=one.text)


def _places(here: Situation, row: int) -> Iterator[SourcePlace]:
    for source, size in active_sources(here):
        looked = max(LOOKED, size)
        place = np.flatnonzero(source.retrieve(here, looked) == row)
        yield SourcePlace(source.name, int(place[0]) + 1 if len(place) else None, size, looked)


def _pinned(here: Situation, candidates: Candidates) -> tuple[BoolArray, ...]:
    return pinned_masks(here.bundle, here.person.preferences, candidates.rows)


def _with(made: Listed, row: int, score_rows: ScoreRows) -> Listed:
    """The list as if a source had brought the item too."""
    candidates = given(made.here, np.append(made.candidates.rows, row))
    scores, pinned = score_rows(made.here, candidates), _pinned(made.here, candidates)
    return Listed(made.here, made.passing, candidates, scores, None, pinned, made.k)

"""Interests that a person declared, as reasons: the order is made again as if each had not been. K candidates."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from features.arrays import IntArray
from features.preferences import Category
from serving.answers import Code, Reason
from serving.reasons.listed import Listed
from serving.retrieval.candidates import Candidates
from serving.retrieval.preferred import of_any, pinned_masks
from serving.situation import Situation

MOST = 8
"""Interests that are left out in turn, the newest first; the ranker is asked once for each."""
ScoreRows: TypeAlias = Callable[[Situation, Candidates], np.ndarray]
"""Scores float64 [K] of candidates, by what the person declared too."""


def of_interests(made: Listed, explained: IntArray, score_rows: ScoreRows) -> list[list[Reason]]:
    """For each explained item, int64 [N] places among the candidates, the declared interests that lift it."""
    bundle, rows = made.here.bundle, made.candidates.rows[explained]
    each = [(one, of_any(bundle, [one], rows)) for one in made.here.person.preferences.interests]
    found: list[list[Reason]] = [[] for _ in explained]
    for category, mine in [(one, mine) for one, mine in each if mine.any()][:MOST]:
        without = _without(made, category, score_rows)
        for place in np.flatnonzero(mine).tolist():
            index = int(explained[place])
            fall = float(made.scores[index] - without.scores[index])
            places = int(without.places[index] - made.places[index])
            if places > 0 or fall > 0:
                found[place].append(Reason(_code(made, category), fall, places, name=category[0], value=category[1]))
    return found


def _code(made: Listed, category: Category) -> Code:
    return "pinned" if made.pinned and category in made.here.person.preferences.pinned else "interest"


def _without(made: Listed, category: Category, score_rows: ScoreRows) -> Listed:
    """The same candidates in the order that they would have if an interest had not been declared."""
    told = made.here.person.preferences
    interests, pinned = ([one for one in each if one != category] for each in (told.interests, told.pinned))
    less = replace(told, interests=tuple(interests), pinned=tuple(pinned))
    here = replace(made.here, person=replace(made.here.person, preferences=less))
    masks = pinned_masks(here.bundle, less, made.candidates.rows) if made.pinned else ()
    return replace(made, here=here, scores=score_rows(here, made.candidates), pinned=masks)

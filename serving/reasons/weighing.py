"""How much each part of what is known speaks for each explained item, measured on the models.

A part counts by the places that the item falls without it: the score alone does not tell, because what hides one event
often lowers every score. N explained items, K items that are looked at, V parts, T history events.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.person import Person
from features.schema import Schema
from serving.reasons.facts import FACTS
from serving.reasons.occlusion import NOTHING, Part, Score, scores_without
from serving.reasons.past import past_items
from serving.retrieval.candidates import UNRANKED, Candidates
from serving.retrieval.sources import SOURCES
from serving.situation import Situation

MOST_ITEMS = 32
"""Items of the past that are hidden in turn: twice as many find hardly more (benchmarks/person/NOTES.md)."""
MOST_EVENTS = 4_000
"""Events that the user tower reads for one answer, all parts together, so that a long past costs no more."""
MOST_ROWS = 8_000
"""Rows that the ranker reads for one answer, all parts together."""
FEWEST_ITEMS = 8
RIVALS = 50
"""Best other items that an explained item may fall behind."""


class Weighed(NamedTuple):
    """What hiding each part does to each explained item."""

    parts: list[Part]
    """V of them."""
    scores: np.ndarray
    """float64 [N]: of each explained item."""
    falls: np.ndarray
    """float64 [V, N]: by how much its score falls."""
    places: IntArray
    """int64 [V, N]: how many of those that were behind it, or more, come before it."""
    leads: np.ndarray
    """float64 [V, N]: how much further it falls than the others do on average, as shares of their scores."""


def weigh(here: Situation, candidates: Candidates, explained: IntArray, scores: FloatArray, score: Score) -> Weighed:
    """Hide each part of what is known of a person; `explained` int64 [N] are places among the candidates."""
    looked_at = np.union1d(explained, np.argsort(-scores, kind="stable")[: len(explained) + RIVALS])
    subset = Candidates(candidates.rows[looked_at], candidates.ranks[looked_at])
    mine = np.searchsorted(looked_at, explained)
    events = past_items(here, subset.rows[mine], _most_items(here, len(looked_at)))
    parts = [*(Part("events", events=one) for one in events), *_others(here, subset, mine)]
    found = scores_without(here, subset, [NOTHING, *parts], score)  # [1 + V, K]
    behind = np.array([(found > found[:, one, None]).sum(axis=1) for one in mine]).T  # [1 + V, N]
    shares = (found[0] - found[1:]) / np.maximum(np.abs(found[0]), 1e-9)  # [V, K]
    return Weighed(
        parts,
        scores=found[0, mine],
        falls=found[0, mine] - found[1:, mine],
        places=behind[1:] - behind[0],
        leads=shares[:, mine] - shares.mean(axis=1, keepdims=True),
    )


def _most_items(here: Situation, rows: int) -> int:
    most = min(MOST_ITEMS, MOST_EVENTS // max(len(here.history.item_rows), 1), MOST_ROWS // max(rows, 1))
    return max(most, FEWEST_ITEMS)


def _others(here: Situation, subset: Candidates, mine: IntArray) -> list[Part]:
    """Attributes and circumstances that the models read and that are known, and sources that speak for themselves."""
    schema, person = here.bundle.schema, here.person
    brought = (subset.ranks[mine] != UNRANKED).any(axis=0)
    return [
        *(Part("attribute", name) for name in known_attributes(schema, person, here.moment)),
        *(Part("context", name) for name in known_context(schema, person)),
        *(Part("source", one.name) for one, any_ in zip(SOURCES, brought, strict=True) if any_ and one.name in FACTS),
    ]


def known_attributes(schema: Schema, person: Person, moment: int) -> Mapping[str, Any]:
    """Value of each attribute of the person that the models read, as of a moment."""
    names = [one.name for one in (*schema.user_fields, *schema.changing_user_fields)]
    values = {name: person.attribute(name, moment) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def known_context(schema: Schema, person: Person) -> Mapping[str, Any]:
    """Value of each circumstance of the request that the models read."""
    values = {one.name: person.context.get(one.name) for one in schema.context_fields}
    return {name: value for name, value in values.items() if value is not None}

"""From what was measured to what is said: a few reasons for each item, as data, the strongest first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from features.arrays import BoolArray, IntArray
from features.moments import written
from serving.answers import Code, Reason
from serving.reasons.facts import FACTS
from serving.reasons.occlusion import Part
from serving.reasons.weighing import Weighed, known_attributes, known_context
from serving.retrieval.candidates import Candidates
from serving.retrieval.scores import dots
from serving.situation import Situation

MOST_NAMED = 3
"""Items of the past that are named for one item."""
SHARE = 0.25
"""What counts less than this share of the strongest item of the past is not named."""
MATTERS_PAST = 0.05
"""Share of its score that an item loses without an item of the past that is named, unless it loses a place."""
MATTERS = 0.01
"""The same for attributes and circumstances: of these hardly anything is left out."""
LIKE = 0.5
"""Cosine from which on two items are called alike."""


def named(
    here: Situation, candidates: Candidates, explained: IntArray, weighed: Weighed, declared: Sequence[Sequence[Reason]]
) -> list[tuple[Reason, ...]]:
    """The reasons of each explained item, int64 [N] places among the candidates; never none.

    `declared` are those of each that the person said themselves.
    """
    return [
        _chosen(
            [*declared[mine], *_measured(here, candidates, index, weighed, mine)],
            [*_facts(here, candidates, index, weighed, mine)],
        )
        for mine, index in enumerate(explained.tolist())
    ]


def _chosen(measured: list[Reason], facts: list[Reason]) -> tuple[Reason, ...]:
    """What lifts an item, strongest first; if nothing does, what is true of it; if there is nothing, just that."""
    lifting = [*measured, *(one for one in facts if one.weight > 0 and one.places >= 0)]
    strongest_first = sorted(lifting or facts, key=lambda one: (-one.places, -one.weight))
    return tuple(strongest_first) or (Reason("general"),)


def _measured(here: Situation, candidates: Candidates, index: int, weighed: Weighed, mine: int) -> Iterator[Reason]:
    """What is known of the person and speaks for an item."""
    row = int(candidates.rows[index])
    falls, places = weighed.falls[:, mine].tolist(), weighed.places[:, mine].tolist()
    for one in (*_of_past(weighed, mine), *_circumstances(weighed, mine)):
        yield replace(_described(here, row, weighed.parts[one]), weight=falls[one], places=places[one])


def _of_past(weighed: Weighed, mine: int) -> list[int]:
    """Places of the items of the past that speak most for an item, the strongest first."""
    ties = weighed.leads[:, mine] / max(float(np.abs(weighed.leads[:, mine]).max(initial=0.0)), 1e-9)
    counts = np.where(_of_kind(weighed, "events"), weighed.places[:, mine] + 0.5 * ties, 0.0)
    speaking = (counts > 0) & (counts >= SHARE * counts.max(initial=0.0)) & _matters(weighed, mine, MATTERS_PAST)
    strongest_first = np.argsort(-counts, kind="stable")
    return [int(one) for one in strongest_first if speaking[one]][:MOST_NAMED]


def _circumstances(weighed: Weighed, mine: int) -> list[int]:
    """Places of the attributes and circumstances that contributed; none of them is left out."""
    kinds = _of_kind(weighed, "attribute") | _of_kind(weighed, "context")
    return np.flatnonzero(kinds & _matters(weighed, mine, MATTERS)).tolist()


def _matters(weighed: Weighed, mine: int, share: float) -> BoolArray:
    """bool [V]: without what an item's score falls, and by a place or this share of it."""
    falls = weighed.falls[:, mine]
    far = (weighed.places[:, mine] > 0) | (falls >= share * np.abs(weighed.scores[mine]))
    return np.asarray((falls > 0) & far)


def _of_kind(weighed: Weighed, kind: str) -> BoolArray:
    return np.array([part.kind == kind for part in weighed.parts], dtype=np.bool_)


def _described(here: Situation, row: int, part: Part) -> Reason:
    schema = here.bundle.schema
    if part.kind == "events":
        return _past_item(here, row, part.events)
    if part.kind == "context":
        return Reason("context", name=part.name, value=str(known_context(schema, here.person)[part.name]))
    value = known_attributes(schema, here.person, here.moment)[part.name]
    column = schema.dataset.users.columns[part.name]
    dated = column.role in ("birth_date", "time")
    text, moment = written(value, day=column.role == "birth_date") if dated else (str(value), None)
    return Reason("attribute", name=part.name, value=text, moment=moment, protected=column.protected or None)


def _past_item(here: Situation, row: int, events: IntArray) -> Reason:
    past = int(here.history.item_rows[events[0]])
    return Reason(
        _relation(here, row, past, events),
        item_id=here.bundle.schema.items.id_of(past),
        title=here.bundle.catalogue.title(past),
        times=len(events),
        last=int(here.history.moments[events[-1]]),
    )


def _relation(here: Situation, row: int, past: int, events: IntArray) -> Code:
    """What an item of the past is to an item; of one that was only disliked nothing is said but that it counted.

    One that the person likes stands in the history without having been taken.
    """
    if here.bundle.schema.items.id_of(past) in here.person.preferences.counted:
        return "liked"
    if not here.bundle.schema.positive_codes[here.history.type_codes[events]].any():
        return "history"
    if past == row:
        return "again"
    if here.bundle.transitions.between(np.array([past]), row)[0] > 0:
        return "transitions"
    vectors = here.bundle.catalogue.vectors
    return "nearest" if dots(vectors[np.array([past])], vectors[np.array([row])][0])[0] >= LIKE else "history"


def _facts(here: Situation, candidates: Candidates, index: int, weighed: Weighed, mine: int) -> Iterator[Reason]:
    """What is true of the item whoever asks, by the sources that brought it."""
    hidden = {part.name: one for one, part in enumerate(weighed.parts) if part.kind == "source"}
    for code, fact in FACTS.items():
        if code in candidates.sources_of(index):
            one = hidden[code]
            fall, places = float(weighed.falls[one, mine]), int(weighed.places[one, mine])
            yield replace(fact(here, int(candidates.rows[index])), weight=fall, places=places)

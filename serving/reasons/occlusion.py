"""What the scores would be without a part of what is known: the models themselves are asked again, the part hidden.

A person with a part hidden is a situation like any other, so that the ranker's rows are made by the code that made the
answer. All of them go through the user tower and the ranker in one batch each. What may be shown stays as it is.

V hidden parts, K candidates, T history events, D embedding_dim.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from features.arrays import FloatArray, IntArray
from features.histories import SequenceInputs, sequence_inputs
from features.person import Person
from serving.ranking.ranker_inputs import RankerRows, ranker_rows
from serving.retrieval.candidates import UNRANKED, Candidates, placed_again
from serving.retrieval.sources import SOURCES
from serving.situation import Situation, user_vectors

T = TypeVar("T")
NO_EVENTS: IntArray = np.empty(0, dtype=np.int64)
Score = Callable[[FloatArray], np.ndarray]
"""From logits float32 [V, K, H] to expected values float64 [V, K]."""


class Part(NamedTuple):
    """A part of what is known that can be hidden."""

    kind: Literal["nothing", "events", "attribute", "context", "source"]
    name: str = ""
    """Of the attribute, the context column, or the source."""
    events: IntArray = NO_EVENTS
    """int64 [n] ascending: places in the history."""


NOTHING = Part("nothing")


def scores_without(here: Situation, candidates: Candidates, parts: Sequence[Part], score: Score) -> np.ndarray:
    """float64 [V, K]: the score of each candidate with each part hidden."""
    situations = _with_hidden(here, parts)
    rows = [
        ranker_rows(other, _candidates_without(other, candidates, part))
        for other, part in zip(situations, parts, strict=True)
    ]
    assert here.bundle.ranker is not None
    return score(here.bundle.ranker(_stacked(rows)))


def _with_hidden(here: Situation, parts: Sequence[Part]) -> list[Situation]:
    """The situation once for each part, without it."""
    whole = sequence_inputs(here.bundle.schema, here.person, here.history, here.moment)
    left = [_events_left(here, part) for part in parts]
    inputs = [_inputs_without(here, part, whole).only(kept) for part, kept in zip(parts, left, strict=True)]
    vectors = [here.history_vectors[kept] for kept in left]
    asked = user_vectors(here.bundle.user_tower, inputs, vectors)
    return [
        replace(
            here,
            history=here.history.only(kept),
            history_vectors=own,
            user_vector=user_vector,
            transitions=here.bundle.transitions.query(here.history.item_rows[kept]),
        )
        if len(part.events)
        else replace(here, user_vector=user_vector)
        for part, kept, own, user_vector in zip(parts, left, vectors, asked, strict=True)
    ]


def _events_left(here: Situation, part: Part) -> IntArray:
    return np.delete(np.arange(len(here.history.item_rows)), part.events)


def _inputs_without(here: Situation, part: Part, whole: SequenceInputs) -> SequenceInputs:
    if part.kind not in ("attribute", "context"):
        return whole
    return sequence_inputs(here.bundle.schema, _person_without(here.person, part), here.history, here.moment)


def _person_without(person: Person, part: Part) -> Person:
    if part.kind == "context":
        return replace(person, context=_others(person.context, part.name))
    attributes, changes = _others(person.attributes, part.name), _others(person.changes, part.name)
    return replace(person, attributes=attributes, changes=changes)


def _others(values: Mapping[str, T], name: str) -> dict[str, T]:
    return {one: value for one, value in values.items() if one != name}


def _candidates_without(here: Situation, candidates: Candidates, part: Part) -> Candidates:
    """The candidates with their places in the lists that the sources give now."""
    if part.kind == "nothing":
        return candidates
    if part.kind != "source":
        return placed_again(here, candidates)
    names = [source.name for source in SOURCES]
    ranks = candidates.ranks.copy()
    ranks[:, names.index(part.name)] = UNRANKED
    return Candidates(candidates.rows, ranks)


def _stacked(rows: Sequence[RankerRows]) -> dict[str, np.ndarray]:
    """The ranker's feeds for V situations; shorter histories are padded and masked."""
    longest = max(len(one.history_mask) for one in rows)
    return {
        "features": np.stack([one.features for one in rows]),
        "candidate_vectors": np.stack([one.candidate_vectors for one in rows]),
        "history_vectors": np.stack([_padded(one.history_vectors, longest) for one in rows]),
        "history_mask": np.stack([_padded(one.history_mask, longest) for one in rows]),
    }


def _padded(array: FloatArray, length: int) -> FloatArray:
    padded = np.zeros((length, *array.shape[1:]), dtype=array.dtype)
    padded[: len(array)] = array
    return padded

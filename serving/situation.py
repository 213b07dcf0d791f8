"""Everything about one person at one moment that the later stages read, computed once.

R item rows, T history events, D embedding_dim.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from features.arrays import BoolArray, FloatArray
from features.histories import History, SequenceInputs, encode_history, history_vectors, sequence_inputs
from features.person import Person, impersonal
from features.schema import Schema
from features.vocabulary import Lookup
from serving.bundle import Bundle
from serving.graph import Graph
from serving.retrieval.bitmap import Bitmap
from serving.retrieval.eligibility import Eligible, open_to
from serving.retrieval.preferred import with_liked, without_hidden
from serving.retrieval.transitions import TransitionEvidence


@dataclass(frozen=True)
class Situation:
    """A person, a moment, and what the bundle's models make of them."""

    bundle: Bundle
    person: Person
    moment: int
    history: History
    eligible: Eligible
    """Rows that may be shown."""
    history_vectors: FloatArray
    """float32 [T, D], oldest first."""
    user_vector: FloatArray
    """float32 [D]: the user tower's answer for the history, the profile and the moment."""
    transitions: TransitionEvidence
    """What the transition counts say about items after this history."""

    @property
    def open_rows(self) -> BoolArray:
        """bool [R]: rows that may be shown; for training, which judges the whole catalogue."""
        return self.eligible.mask(len(self.bundle.catalogue))

    @property
    def mixed(self) -> bool:
        """Whether the person wants a list that is personal only in part."""
        return 0.0 < self.person.preferences.strength < 1.0

    @cached_property
    def plain(self) -> "Situation":
        """The same moment for somebody of whom nothing is known; the same items may be shown."""
        return replace(situation(self.bundle, impersonal(self.person), self.moment), eligible=self.eligible)


def situation(
    bundle: Bundle, person: Person, moment: int, exclude: Collection[str] = (), passing: Bitmap | None = None
) -> Situation:
    """Encode what is known of a person at a moment; of the items only those in `passing` may be shown.

    With a strength of 0 the person is nobody known, and what they hid still binds.
    """
    return situations(bundle, [(person, moment)], exclude, [passing])[0]


def situations(
    bundle: Bundle,
    asked: Sequence[tuple[Person, int]],
    exclude: Collection[str],
    passing: Sequence[Bitmap | None],
) -> list[Situation]:
    """The same for several people at their moments, step by step over all of them; `passing` has one for each."""
    schema, moments = bundle.schema, [moment for _, moment in asked]
    people = [
        with_liked(schema, impersonal(person) if person.preferences.strength == 0 else person, moment)
        for person, moment in asked
    ]
    told = [(*one, Lookup(schema.items, _ids_of(one[0]))) for one in zip(people, moments, strict=True)]
    eligible = [_eligible(bundle, *one, exclude, rows) for one, rows in zip(told, passing, strict=True)]
    most = bundle.settings.max_events
    histories = [encode_history(schema, person, moment, most, known) for person, moment, known in told]
    vectors = [history_vectors(bundle.catalogue.vectors, history) for history in histories]
    inputs = [sequence_inputs(schema, *one) for one in zip(people, histories, moments, strict=True)]
    found = [user_vectors(bundle.user_tower, [one], [own])[0] for one, own in zip(inputs, vectors, strict=True)]
    following = [bundle.transitions.query(history.item_rows) for history in histories]
    parts = zip(people, moments, histories, eligible, vectors, found, following, strict=True)
    return [Situation(bundle, *one) for one in parts]


def _eligible(
    bundle: Bundle, person: Person, moment: int, known: Lookup, exclude: Collection[str], passing: Bitmap | None
) -> Eligible:
    eligible = open_to(bundle.schema, bundle.catalogue, person, moment, exclude, known)
    eligible = without_hidden(bundle, person.preferences, eligible)
    return eligible if passing is None else eligible.among(passing)


def _ids_of(person: Person) -> Iterator[str]:
    """Every item that the person did something with or took."""
    yield from person.events.item_ids
    if person.taken:
        yield from person.taken.item_ids


def user_vector(
    schema: Schema, user_tower: Graph, person: Person, history: History, vectors: FloatArray, moment: int
) -> FloatArray:
    """float32 [D]: what the user tower says of a history, whose item vectors are float32 [T, D], at a moment."""
    inputs = sequence_inputs(schema, person, history, moment)
    vector: FloatArray = user_vectors(user_tower, [inputs], [vectors])[0]
    return vector


def user_vectors(user_tower: Graph, inputs: Sequence[SequenceInputs], vectors: Sequence[FloatArray]) -> FloatArray:
    """float32 [B, D]: the same for several histories, each with its item vectors float32 [T, D]."""
    longest = max(1, *(len(one) for one in vectors))
    feeds = [_feeds(one, own, longest) for one, own in zip(inputs, vectors, strict=True)]
    found: FloatArray = user_tower({name: np.stack([one[name] for one in feeds]) for name in user_tower.inputs})
    return found


def _feeds(inputs: SequenceInputs, vectors: FloatArray, padded: int) -> dict[str, np.ndarray]:
    """What the user tower takes for one history, with zeros behind it up to `padded` events."""
    return {
        "item_vectors": _padded(vectors, padded),
        "type_codes": _padded(inputs.type_codes, padded),
        "value_codes": _padded(inputs.value_codes, padded),
        "gap_codes": _padded(_padded(inputs.gap_codes, padded + 1).T, padded + 1).T,
        "profile_codes": inputs.profile_codes,
        "context_codes": _padded(inputs.context_codes, padded + 1),
        "lengths": np.array(len(vectors), dtype=np.int64),
    }


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    """The array with zeros behind it along its first axis, where it is shorter."""
    if len(array) == length:
        return array
    padded = np.zeros((length, *array.shape[1:]), dtype=array.dtype)
    padded[: len(array)] = array
    return padded

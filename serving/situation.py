"""Everything about one person at one moment that the later stages read, computed once.

R item rows, T history events, D embedding_dim.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays import BoolArray, FloatArray
from features.histories import History, encode_history, history_vectors, sequence_inputs
from features.person import Person
from serving.bundle import Bundle
from serving.eligibility import blocked_rows
from serving.transitions import TransitionEvidence


@dataclass(frozen=True)
class Situation:
    """A person, a moment, and what the bundle's models make of them."""

    bundle: Bundle
    person: Person
    moment: int
    history: History
    blocked: BoolArray
    """bool [R]: rows that must not be shown."""

    @cached_property
    def history_vectors(self) -> FloatArray:
        """float32 [T, D], oldest first."""
        return history_vectors(self.bundle.catalogue.vectors, self.history)

    @cached_property
    def user_vector(self) -> FloatArray:
        """float32 [D]: the user tower's answer for the history, the profile and the moment."""
        inputs = sequence_inputs(self.bundle.schema, self.person, self.history, self.moment)
        length = len(self.history.item_rows)
        padded = max(length, 1)
        feeds = {
            "item_vectors": _padded(self.history_vectors, padded),
            "type_codes": _padded(inputs.type_codes, padded),
            "value_codes": _padded(inputs.value_codes, padded),
            "gap_codes": _padded(_padded(inputs.gap_codes, padded + 1).T, padded + 1).T,
            "profile_codes": inputs.profile_codes,
            "context_codes": _padded(inputs.context_codes, padded + 1),
            "lengths": np.array(length, dtype=np.int64),
        }
        vector: FloatArray = self.bundle.user_tower({name: value[None] for name, value in feeds.items()})[0]
        return vector

    @cached_property
    def transitions(self) -> TransitionEvidence:
        """What the transition counts say about every item row after this history."""
        return self.bundle.transitions.query(self.history.item_rows)


def situation(bundle: Bundle, person: Person, moment: int, exclude: Collection[str] = ()) -> Situation:
    """Encode what is known of a person at a moment."""
    history = encode_history(bundle.schema, person, moment, bundle.settings.max_events)
    blocked = blocked_rows(bundle.schema, bundle.catalogue, person, moment, exclude)
    return Situation(bundle, person, moment, history, blocked)


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    """The array with zeros behind it along its first axis; only the empty history needs any."""
    missing = length - len(array)
    return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array

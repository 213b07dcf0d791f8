"""What an answer is made from, as one small code for each input: what the models were shown and what they are shown.

A training keeps how often each code occurred; a service counts the codes of its answers, and the two are compared.
Nothing in it is a person's: codes are counted, and no two of them belong together.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np

from features.arrays import IntArray
from features.drift import bins_of
from features.histories import encode_history, query_contexts
from features.person import Person, impersonal
from features.schema import FieldSize, Schema

MOVING_ON = frozenset({"weekday"})
"""Not compared: the answers of a day are all of one."""


def input_codes(schema: Schema, person: Person, moment: int, max_events: int) -> dict[str, int]:
    """The code of each input of one answer, by name; of a field with several codes the first.

    Of somebody of whom nothing is known only the length of the history and the circumstances are told: how many
    strangers come is one input, and must not move all the others.
    """
    if person.preferences.strength == 0:
        person = impersonal(person)
    history = encode_history(schema, person, moment, max_events)
    nothing = history.only(np.empty(0, dtype=np.int64))
    context = query_contexts(schema, person, nothing, np.array([moment]))[0]
    changing = {one.name for one in schema.changing_user_fields}
    codes = {"history length": len(history.item_rows).bit_length()}
    codes |= {f"context {name}": code for name, code in _first(schema.context_sizes, context) if name not in changing}
    if len(history.type_codes):
        codes["last event type"] = int(history.type_codes[-1])
    if len(history.type_codes) or person.attributes or person.changes:
        profile = _first(schema.profile_sizes, schema.encode_profile(person))
        moving = ((name, code) for name, code in _first(schema.context_sizes, context) if name in changing)
        codes |= {f"user {name}": code for name, code in (*profile, *moving)}
    return codes


def _first(sizes: Iterable[FieldSize], codes: IntArray) -> Iterator[tuple[str, int]]:
    """The first code of each field that stand side by side in int64 [C]."""
    place = 0
    for name, width, _ in sizes:
        if name not in MOVING_ON:
            yield name, int(codes[place])
        place += width


class InputReference:
    """How often the codes of one input occurred in training, by bin."""

    def __init__(self, codes: Iterable[Iterable[int]], counts: Iterable[int]) -> None:
        """`codes` of each bin, and their `counts`; a code that is nowhere named is in the last bin."""
        self._codes = tuple(tuple(one) for one in codes)
        self.counts = np.array([*counts], dtype=np.int64)
        """int64 [bins]"""

    @classmethod
    def of(cls, codes: IntArray) -> Self:
        """From the codes int64 [n > 0] of a sample; the last bin has room for codes that are new to it."""
        counts = np.bincount(codes, minlength=int(codes.max()) + 2)
        bins = bins_of(counts)
        members = [np.flatnonzero((bins == one) & (counts > 0)) for one in np.unique(bins)]
        return cls([one.tolist() for one in members], [int(counts[one].sum()) for one in members])

    @cached_property
    def _bins(self) -> dict[int, int]:
        return {code: place for place, codes in enumerate(self._codes) for code in codes}

    def bin_of(self, code: int) -> int:
        """The bin of a code, from 0."""
        return self._bins.get(code, len(self.counts) - 1)

    @property
    def shares(self) -> list[float]:
        """Of each bin."""
        return [float(one) for one in self.counts / self.counts.sum()]

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes an equal one: counts, and nobody's values."""
        return {"codes": [list(one) for one in self._codes], "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(content["codes"], content["counts"])


def references_of(sample: Iterable[Mapping[str, int]]) -> dict[str, InputReference]:
    """By input, from what `input_codes` says of each of a sample."""
    found: dict[str, list[int]] = {}
    for codes in sample:
        for name, code in codes.items():
            found.setdefault(name, []).append(code)
    return {name: InputReference.of(np.array(codes, dtype=np.int64)) for name, codes in sorted(found.items())}

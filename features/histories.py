"""A person's past as the towers see it: codes and rows, cut at a moment.

T events, D embedding_dim. One function makes the user tower's arrays for training and for serving alike.
A sequence has T + 1 queries: query i has seen the first i events and stands at the moment of event i + 1,
the last one at the moment of the request. Position 0 is the profile, so an empty history is no special case.
"""

from typing import NamedTuple

import numpy as np

from features.arrays import ByRow, FloatArray, IntArray
from features.moments import day_of_week, gap_codes, hour_of_day
from features.person import NO_CONTEXT, Person
from features.schema import Schema
from features.vocabulary import Lookup


class History(NamedTuple):
    """Known items of a person's past at or before a moment, oldest first."""

    item_rows: IntArray
    """int64 [T] rows of the item table; never PAD or UNKNOWN."""
    type_codes: IntArray
    """int64 [T], 0 PAD, 1 unknown type, then the types in the order of the config."""
    value_codes: IntArray
    """int64 [T], 0 where there is no value."""
    moments: IntArray
    """int64 [T]."""
    kept: IntArray
    """int64 [T]: which of the person's events these are."""

    def only(self, places: IntArray) -> "History":
        """The history as if but these of its events, int64 [n] ascending, had happened."""
        return History(*(one[places] for one in self))


class SequenceInputs(NamedTuple):
    """What the user tower takes beside item vectors, for one person."""

    type_codes: IntArray
    """int64 [T]"""
    value_codes: IntArray
    """int64 [T]"""
    gap_codes: IntArray
    """int64 [T + 1, T + 1]: time between query i and key j, 0 for the profile; all 0 where times are not read."""
    profile_codes: IntArray
    """int64 [P]: codes of the static user attributes."""
    context_codes: IntArray
    """int64 [T + 1, C]: circumstances of each query."""

    def only(self, places: IntArray) -> "SequenceInputs":
        """The inputs as if but these of the events, int64 [n] ascending, had happened.

        An event takes its query and its key along: query i stands at event i, and key 0 is the profile.
        """
        queries, keys = np.append(places, len(self.type_codes)), np.append(0, places + 1)
        return SequenceInputs(
            type_codes=self.type_codes[places],
            value_codes=self.value_codes[places],
            gap_codes=self.gap_codes[np.ix_(queries, keys)],
            profile_codes=self.profile_codes,
            context_codes=self.context_codes[queries],
        )


def encode_history(
    schema: Schema, person: Person, moment: int, max_events: int, known: Lookup | None = None
) -> History:
    """The newest `max_events` events on known items, none after `moment`; exposures are left out.

    `known` holds the rows of all ids in the events, where they were looked for before.
    """
    past = person.events.until(moment)
    rows = (known or schema.items).rows(past.item_ids)
    types = schema.encode_types(past.types)
    kept = np.flatnonzero((rows > 1) & ~schema.exposure_codes[types])[-max_events:]
    return History(
        item_rows=rows[kept],
        type_codes=types[kept],
        value_codes=schema.encode_values(past.values[kept]),
        moments=past.moments[kept],
        kept=kept,
    )


def sequence_inputs(schema: Schema, person: Person, history: History, moment: int) -> SequenceInputs:
    """The user tower's inputs for a history and a request at `moment` (with the person's context there)."""
    queries = np.append(history.moments - 1, moment)
    return SequenceInputs(
        type_codes=history.type_codes,
        value_codes=history.value_codes,
        gap_codes=_gaps(schema, queries, history.moments),
        profile_codes=schema.encode_profile(person),
        context_codes=query_contexts(schema, person, history, queries),
    )


def _gaps(schema: Schema, queries: IntArray, keys: IntArray) -> IntArray:
    codes = np.zeros((len(queries), len(queries)), dtype=np.int64)
    if schema.reads_gaps:
        codes[:, 1:] = gap_codes(queries, keys, schema.max_gap_code)
    return codes


def query_contexts(schema: Schema, person: Person, history: History, queries: IntArray) -> IntArray:
    """int64 [T + 1, C]: hour and weekday (when read), context columns, attributes as of each query.

    A query stands one tick before its event, so that it knows nothing of it; the clock is the event's own.
    """
    parts: list[IntArray] = []
    if schema.reads_clock:
        clock = queries + 1
        parts += [hour_of_day(clock)[:, None] + 2, day_of_week(clock)[:, None] + 2]
    if schema.context_fields:
        given = person.events.contexts or [NO_CONTEXT] * len(person.events)
        circumstances = [*(given[index] for index in history.kept), person.context]
        parts += [field.encode([one.get(field.name) for one in circumstances]) for field in schema.context_fields]
    parts += [schema.encode_changing(field, person, queries) for field in schema.changing_user_fields]
    return np.concatenate(parts, axis=1) if parts else np.empty((len(queries), 0), dtype=np.int64)


def history_vectors(item_vectors: ByRow[np.float32], history: History) -> FloatArray:
    """float32 [T, D]: the rows of the (memory-mapped) item table that a history names."""
    return np.ascontiguousarray(item_vectors[history.item_rows])

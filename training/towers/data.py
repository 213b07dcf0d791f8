"""What the towers are fitted on: everybody's past, and people on whom to validate.

A validation person is a window too, whose last event is the one to be predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from features.arrays import IntArray
from features.events import Tables
from features.histories import History, encode_history, query_contexts
from features.people import People
from features.person import Person
from features.schema import FieldSize, Schema
from features.vocabulary import UNKNOWN
from models.user_tower import UserTowerInputs
from serving.retrieval.eligibility import taken_rows
from training.moments import wanted_turns
from training.statistics import item_rows
from training.towers.windows import Windows, WindowWriter
from training.transitions.pair_counts import Sequences

EVER = np.iinfo(np.int64).max


class ValidationPerson(NamedTuple):
    """Somebody just before an event: what is known of them, the moment of the request, what they then took."""

    person: Person
    moment: int
    item_row: int


@dataclass(frozen=True)
class TowerData:
    """Everything that `fit_towers` reads. R item rows, A attribute codes."""

    inputs: UserTowerInputs
    item_fields: tuple[FieldSize, ...]
    item_codes: IntArray
    """int64 [R, A]"""
    occurrences: IntArray
    """int64 [R]: how often each item is a target."""
    turns: Sequences
    """What people turned to, in order: where the ids start."""
    windows: Windows
    validation: Windows
    """One window per person."""
    hidden: tuple[IntArray, ...]
    """Per validation person the item rows that may not be recommended again."""


def tower_data(
    schema: Schema,
    tables: Tables,
    item_codes: IntArray,
    max_events: int,
    validation: Sequence[ValidationPerson] = (),
) -> TowerData:
    """Cut the histories of all events in `tables` into windows of at most `max_events` and the next.

    Targets are events of a positive type with another item than the one before: nobody is shown what they look at.
    Where nothing but the time orders events, only the first of a moment is a target: others would see their peers.
    """
    windows = _fitting_windows(schema, tables, max_events)
    targets = windows.item_rows[windows.weights > 0]
    turns = tables.events.where(wanted_turns(schema.dataset, tables.events))
    return TowerData(
        inputs=UserTowerInputs.of(schema, max_events),
        item_fields=schema.item_sizes,
        item_codes=item_codes,
        occurrences=np.bincount(targets, minlength=len(schema.items)).astype(np.int64),
        turns=Sequences.of(item_rows(schema, turns), turns.offsets, len(schema.items)),
        windows=windows,
        validation=_validation_windows(schema, validation, max_events),
        hidden=tuple(taken_rows(schema, one.person, one.moment) for one in validation),
    )


def _fitting_windows(schema: Schema, tables: Tables, max_events: int) -> Windows:
    people, writer = People(schema.dataset, tables), WindowWriter(schema, max_events)
    kinds = schema.dataset.types.values()
    weights = np.array([0, 0, *(one.weight if one.sign == "positive" else 0 for one in kinds)], np.float32)
    for user in people.user_ids:
        person = people.whole(user)
        history = encode_history(schema, person, EVER, max(1, len(person.events)))
        if len(history.item_rows):
            queries = np.append(history.moments - 1, history.moments[-1])
            contexts = query_contexts(schema, person, history, queries)[:-1]
            turned = np.append(True, history.item_rows[1:] != history.item_rows[:-1])
            if schema.timed and schema.dataset.order.sequence is None:
                turned[1:] &= history.moments[1:] > history.moments[:-1]
            writer.add(person, history, contexts, weights[history.type_codes] * turned)
    return writer.done()


def _validation_windows(schema: Schema, people: Sequence[ValidationPerson], max_events: int) -> Windows:
    writer = WindowWriter(schema, max_events)
    for one in people:
        past = encode_history(schema, one.person, one.moment, max_events)
        taken = (one.item_row, UNKNOWN, 0, one.moment + 1, len(one.person.events))
        history = History(*(np.append(column, last) for column, last in zip(past, taken, strict=True)))
        contexts = query_contexts(schema, one.person, past, history.moments - 1)
        weights = np.zeros(len(history.item_rows), np.float32)
        weights[-1] = 1
        writer.add(one.person, history, contexts, weights)
    return writer.done()

"""Input drift: how far what people are and do in the newest slice lies from what was trained on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.drift import bins_of, psi
from features.events import AttributeTable, Tables
from features.schema import Schema

DRAWS = 20
MOST_ROWS = 100_000
"""Events of a draw at most."""


class Drift(NamedTuple):
    """How far one input moved."""

    psi: float
    chance: float
    """What as many other people drawn from before the slice reach in 95 of 100 draws: people differ, too."""


def drift_of(schema: Schema, tables: Tables, newest: BoolArray, seed: int) -> dict[str, Drift]:
    """Drift by input, of the events outside and inside of a mask [N], as a schema encodes them.

    Event types and values, context columns, and the static attributes of the people and items of each event, but for
    moments, which always move on. Of a wide field, such as text, the first code stands for all.
    """
    codes = {name: binned(one, ~newest) for name, one in _inputs(schema, tables).items()}
    draws = list(_draws(tables.events.user_codes, newest, seed))
    return {
        name: Drift(
            psi=psi(one[~newest], one[newest]),
            chance=float(np.quantile([psi(one[~newest], one[rows]) for rows in draws], 0.95)) if draws else 0.0,
        )
        for name, one in codes.items()
    }


def binned(codes: IntArray, before: BoolArray) -> IntArray:
    """The bin of each code, as `bins_of` those before the slice."""
    bins: IntArray = bins_of(np.bincount(codes[before], minlength=int(codes.max(initial=0)) + 1))[codes]
    return bins


def _draws(users: IntArray, newest: BoolArray, seed: int) -> Iterator[IntArray]:
    """Rows before the slice of as many people as the slice has, and no more rows than it."""
    draw = np.random.default_rng(seed)
    before = np.flatnonzero(~newest)
    people = np.unique(users[before])
    wanted, rows = min(len(np.unique(users[newest])), len(people)), int(newest.sum())
    for _ in range(DRAWS if wanted and rows else 0):
        mine = before[np.isin(users[before], draw.choice(people, wanted, replace=False))]
        yield draw.choice(mine, min(rows, len(mine), MOST_ROWS), replace=False)


def _inputs(schema: Schema, tables: Tables) -> dict[str, IntArray]:
    """int64 [N] codes of each input, by name."""
    events = tables.events
    codes = {
        "event type": events.type_codes,
        "event value": schema.encode_values(events.values),
        **{f"context {one.name}": one.encode(events.contexts[one.name])[:, 0] for one in schema.context_fields},
    }
    sides = (("user", schema.user_fields, tables.users, events.users, events.user_codes),
             ("item", schema.item_fields, tables.items, events.items, events.item_codes))  # fmt: skip
    for side, fields, table, ids, rows in sides:
        places = _places(table, ids)
        for one in fields:
            if one.name in table.columns and one.role != "time":
                values = np.append(one.encode(table.columns[one.name])[:, 0], 1)
                codes[f"{side} {one.name}"] = values[places[rows]]
    return codes


def _places(table: AttributeTable, ids: np.ndarray) -> IntArray:
    """int64 [n]: where each id stands in a table; -1, its last place, for one that is not there."""
    places = {str(outside): place for place, outside in enumerate(table.ids)}
    return np.array([places.get(str(outside), -1) for outside in ids], dtype=np.int64)

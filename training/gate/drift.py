"""Input drift: how far what people are and do in the newest slice lies from what was trained on.

The population stability index of an input is the sum over its codes of (p - q) ln(p / q), where p and q are the shares
before and in the slice. Below 0.1 is called stable and above 0.25 a shift (Siddiqi, Credit Risk Scorecards, 2006).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.events import AttributeTable, Tables
from features.schema import Schema

BINS = 10
DRAWS = 20
MOST_ROWS = 100_000
"""Events of a draw at most."""
LEAST_SHARE = 1e-4
"""Stands in for a share of 0, whose logarithm does not exist."""


def psi(before: IntArray, after: IntArray) -> float:
    """Population stability index between the codes of two samples; 0 when one of them is empty."""
    if len(before) == 0 or len(after) == 0:
        return 0.0
    size = int(max(before.max(), after.max())) + 1
    shares = [np.maximum(np.bincount(one, minlength=size) / len(one), LEAST_SHARE) for one in (before, after)]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


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
    """Codes in at most `BINS` bins of about equal mass before the slice, frequent ones first; new codes in the last.

    An index over hundreds of creators or words would tell of the rare ones alone.
    """
    counts = np.bincount(codes[before], minlength=int(codes.max(initial=0)) + 1)
    if np.count_nonzero(counts) <= BINS:
        return codes
    order = np.argsort(-counts, kind="stable")
    mass = np.cumsum(counts[order]) / counts.sum()
    bins = np.empty(len(counts), dtype=np.int64)
    bins[order] = np.minimum(np.ceil(mass * BINS).astype(np.int64) - 1, BINS - 1)
    return bins[codes]


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

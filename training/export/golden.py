"""Simulated people for golden answers: nobody's history stands in a bundle.

A person is a walk along the transitions, begun at an item drawn by popularity; attributes are drawn one by one
from the encoders' vocabularies.
"""

import numpy as np

from features.encoders import Field
from features.moments import HOUR, YEAR, to_text
from features.person import Events, Person
from serving.bundle import Bundle

LENGTHS = (0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 50, 75, 100, 150)
"""Events per person; the longest history that the pipeline reads is added."""
NEIGHBOURS = 20


def simulated_people(bundle: Bundle, seed: int) -> list[tuple[Person, int]]:
    """Persons and the moments at which they ask."""
    draw = np.random.default_rng(seed)
    return [_simulated(bundle, length, draw) for length in (*LENGTHS, bundle.settings.max_events)]


def _simulated(bundle: Bundle, length: int, draw: np.random.Generator) -> tuple[Person, int]:
    schema = bundle.schema
    step = HOUR if schema.timed else 1
    moment = bundle.statistics.newest + step
    steps = draw.integers(1, 48 if schema.timed else 2, length) * step
    moments = moment - np.cumsum(steps)[::-1] if length else np.empty(0, dtype=np.int64)
    values = draw.choice([np.nan, *schema.value_edges], length) if schema.value_edges else np.full(length, np.nan)
    events = Events(
        item_ids=[schema.items.id_of(row) for row in _walk(bundle, length, draw)],
        types=[str(name) for name in draw.choice(schema.heads, length)],
        moments=moments.astype(np.int64),
        values=values.astype(np.float32),
    )
    fields = (*schema.user_fields, *schema.changing_user_fields)
    return Person(events=events, attributes={one.name: _value(one, moment, draw) for one in fields}), moment


def _walk(bundle: Bundle, length: int, draw: np.random.Generator) -> list[int]:
    weights = np.asarray(bundle.statistics.popularity, dtype=np.float64)
    rows: list[int] = []
    while len(rows) < length:
        following = bundle.transitions.row(rows[-1])[0][:NEIGHBOURS] if rows else ()
        strangers = draw.random() < 0.1 or len(following) == 0
        row = draw.choice(len(weights), p=weights / weights.sum()) if strangers else draw.choice(following)
        rows.append(int(row))
    return rows


def _value(field: Field, moment: int, draw: np.random.Generator) -> str | float | list[str] | None:
    match field.role:
        case "categorical":
            return str(draw.choice(field.vocabulary.ids)) if field.vocabulary.ids else None
        case "multi_categorical":
            return [str(one) for one in draw.choice(field.vocabulary.ids, 2)] if field.vocabulary.ids else None
        case "numeric":
            return float(draw.choice(field.edges)) if field.edges else None
        case "time":
            return to_text(int(draw.choice(field.edges))) if field.edges else None
        case "birth_date":
            return to_text(int(moment - draw.integers(18, 80) * YEAR))
        case "text":
            return "simulated"

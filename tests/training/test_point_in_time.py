"""No example sees its future: what happens at or after its moment changes no bit of its input row."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.events import EventTable, Tables
from features.people import People
from serving.bundle import Bundle, open_bundle
from serving.ranking.ranker_inputs import RankerRows, ranker_rows
from serving.retrieval.candidates import retrieve
from serving.situation import situation
from training.towers.windows import Windows


@pytest.fixture(scope="module")
def bundle(trained: Any) -> Bundle:
    return open_bundle(trained.bundle)


def noisy(events: EventTable, where: np.ndarray, seed: int) -> EventTable:
    """The table with item, type and value of some events drawn anew from those that occur in it.

    Times stay, so that rows stay where they are.
    """
    draw = np.random.default_rng(seed)
    count = int(where.sum())
    items, types, values = events.item_codes.copy(), events.type_codes.copy(), events.values.copy()
    items[where] = draw.choice(np.unique(events.item_codes), count)
    types[where] = draw.choice(np.unique(events.type_codes), count)
    values[where] = draw.random(count).astype(np.float32)
    return replace(events, item_codes=items, type_codes=types, values=values)


def rows_at(bundle: Bundle, tables: Tables, user: str, moment: int) -> RankerRows:
    person = People(bundle.schema.dataset, tables).person(user, moment)
    here = situation(bundle, person, moment)
    return ranker_rows(here, retrieve(here))


def middles(tables: Tables, count: int) -> list[tuple[str, int]]:
    """Users with the time of an event in the middle of their past."""
    found = [
        (user, int(tables.events.moments[(start + stop) // 2]))
        for user, start, stop in tables.events.by_user()
        if stop - start >= 20
    ]
    return found[:count]


def test_noise_at_or_after_the_moment_changes_no_bit(bundle: Bundle, trained: Any) -> None:
    tables = trained.tables
    for user, at in middles(tables, 10):
        future = replace(tables, events=noisy(tables.events, tables.events.moments >= at, seed=1))
        before, after = (rows_at(bundle, one, user, at - 1) for one in (tables, future))
        for name, column, other in zip(before._fields, before, after, strict=True):
            assert np.array_equal(column, other), f"{name} saw the future"


def test_noise_before_the_moment_changes_the_row(bundle: Bundle, trained: Any) -> None:
    tables = trained.tables
    for user, at in middles(tables, 10):
        past = replace(tables, events=noisy(tables.events, tables.events.moments < at, seed=2))
        before, after = (rows_at(bundle, one, user, at - 1) for one in (tables, past))
        assert not np.array_equal(before.history_vectors, after.history_vectors)


def test_a_window_predicts_from_earlier_events_only(trained: Any) -> None:
    """Noise in the last event of every window leaves all that the tower reads as it was."""
    from training.stage import part_of, schema_of
    from training.towers.data import tower_data

    config, tables = trained.config, trained.tables
    part = part_of(config.dataset, tables, np.ones(len(tables.events), dtype=bool))
    schema, events = schema_of(config.dataset, part), part.events
    codes = np.zeros((len(schema.items), 0), dtype=np.int64)

    def make(table: EventTable) -> Windows:
        return tower_data(schema, replace(tables, events=table), codes, config.pipeline.max_events).windows

    last = events.offsets[1:][np.diff(events.offsets) > 0] - 1
    changed = np.zeros(len(events), dtype=bool)
    changed[last] = True
    clean, spoiled = make(events), make(noisy(events, changed, seed=3))
    for one in range(0, min(len(clean), len(spoiled)), 7):
        first, second = clean.batch([one]), spoiled.batch([one])
        if first.lengths[0] == second.lengths[0]:
            assert np.array_equal(first.item_rows, second.item_rows)
            assert np.array_equal(first.type_codes, second.type_codes)


def test_a_fit_knows_no_attribute_that_changed_after_its_newest_event(trained: Any) -> None:
    from training.stage import part_of

    tables, moments = trained.tables, trained.tables.events.moments
    middle = int(np.median(moments))
    part = part_of(trained.config.dataset, tables, moments < middle)
    later = [int(one.moments.max()) for one in tables.items.changes.values()]
    assert max(later) > middle, "the world has no change after the cut"
    for changes in (*part.items.changes.values(), *part.users.changes.values()):
        assert changes.moments.max(initial=0) < middle

"""Windows say to the tower exactly what serving says at the same moment, and every event is a target once."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import DatasetConfig
from features.events import Tables
from features.histories import encode_history, sequence_inputs
from features.people import People
from features.schema import Schema, fit_schema
from features.tables import load_tables
from training.towers.batches import BatchPlan
from training.towers.data import TowerData, ValidationPerson, tower_data
from training.towers.windows import cuts

DATASET = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {"type": "type", "value": "value", "context": {"device": {"role": "categorical"}}},
        "types": {
            "view": {"repeat": "always"},
            "buy": {"weight": 3},
            "cart": {"weight": 0.5, "repeat": {"after_days": 1}},
            "dislike": {"sign": "negative"},
            "shown": {"sign": "exposure"},
        },
        "users": {"columns": {"land": {"role": "categorical", "static": True}}},
    }
)
TYPES = tuple(DATASET.types)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    draw = np.random.default_rng(5)
    count = 300
    events = pd.DataFrame(
        {
            "user_id": draw.integers(0, 9, count).astype(str),
            "item_id": draw.integers(0, 30, count).astype(str),
            "type": draw.choice(TYPES, count),
            "value": draw.random(count),
            "device": draw.choice(["phone", "desk"], count),
            "time": 1_700_000_000 + draw.integers(0, 10**6, count),
        }
    )
    users = pd.DataFrame({"user_id": [str(user) for user in range(9)], "land": list("aabbccdde")})
    return load_tables(DATASET, tmp_path_factory.mktemp("tables"), {"events": events, "users": users})


@pytest.fixture(scope="module")
def schema(tables: Tables) -> Schema:
    return fit_schema(DATASET, tables.events, tables.users, tables.items)


def data_of(schema: Schema, tables: Tables, max_events: int, people: list[ValidationPerson] | None = None) -> TowerData:
    codes = np.zeros((len(schema.items), 0), dtype=np.int64)
    return tower_data(schema, tables, codes, max_events, people or [])


def test_a_window_is_what_serving_sees(schema: Schema, tables: Tables) -> None:
    data, people = data_of(schema, tables, max_events=200), People(DATASET, tables)
    batch = data.windows.batch(np.arange(len(data.windows)))
    assert len(data.windows) == len(people.user_ids)
    for row, user in enumerate(people.user_ids):
        person = people.whole(user)
        newest = int(person.events.moments[-1])
        history = encode_history(schema, person, newest, 200)
        served = sequence_inputs(schema, person, history, newest)
        length = int(batch.lengths[row])
        assert batch.gap_codes is not None
        np.testing.assert_array_equal(batch.targets[row, :length], history.item_rows)
        np.testing.assert_array_equal(batch.item_rows[row, : length - 1], history.item_rows[:-1])
        np.testing.assert_array_equal(batch.type_codes[row, : length - 1], served.type_codes[:-1])
        np.testing.assert_array_equal(batch.value_codes[row, : length - 1], served.value_codes[:-1])
        np.testing.assert_array_equal(batch.gap_codes[row, :length, :length], served.gap_codes[:-1, :-1])
        np.testing.assert_array_equal(batch.context_codes[row, :length], served.context_codes[:-1])
        np.testing.assert_array_equal(batch.profile_codes[row], served.profile_codes)


def test_only_what_is_wanted_and_another_item_is_a_target_and_counts_its_weight(schema: Schema, tables: Tables) -> None:
    batch = (data := data_of(schema, tables, 200)).windows.batch(np.arange(len(data.windows)))
    weight = {"view": 1, "buy": 3, "cart": 0.5, "dislike": 0}
    for row, user in enumerate((people := People(DATASET, tables)).user_ids):
        events = people.whole(user).events
        turned = [True, *(item != before for before, item in pairwise(events.item_ids))]
        expected = [weight[name] * new for name, new in zip(events.types, turned, strict=True)]
        assert batch.weights[row].tolist() == expected + [0] * (batch.weights.shape[1] - len(expected))


def test_a_validation_person_stands_just_before_the_event(schema: Schema, tables: Tables) -> None:
    people = People(DATASET, tables)
    whole = people.whole("3")
    moment = int(whole.events.moments[-1]) - 1
    person, row = people.person("3", moment), schema.items.row(whole.events.item_ids[-1])
    data = data_of(schema, tables, 200, [ValidationPerson(person, moment, row)])
    batch = data.validation.batch([0])
    served = sequence_inputs(schema, person, encode_history(schema, person, moment, 200), moment)
    assert batch.targets[0, -1] == row
    assert batch.weights[0].tolist() == [0] * len(served.type_codes) + [1]
    assert batch.gap_codes is not None
    np.testing.assert_array_equal(batch.gap_codes[0], served.gap_codes)
    np.testing.assert_array_equal(batch.context_codes[0], served.context_codes)
    taken = zip(person.events.item_ids, person.events.types, person.events.moments, strict=True)
    away = {
        schema.items.row(item)
        for item, name, at in taken
        if name in ("buy", "dislike") or (name == "cart" and moment - at < 86_400_000)
    }
    assert set(data.hidden[0].tolist()) == away


@given(count=st.integers(0, 400), max_events=st.integers(1, 60))
def test_every_event_is_new_once_and_windows_are_short(count: int, max_events: int) -> None:
    found = sorted(cuts(count, max_events))
    assert [event for _, fresh, stop in found for event in range(fresh, stop)] == list(range(count))
    for start, fresh, stop in found:
        assert start <= fresh < stop
        assert stop - start <= max_events + 1
    for _, (start, fresh, _stop) in pairwise(found):
        assert fresh - start >= max_events // 4


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(1, 20), st.integers(1, 900))
def test_a_plan_holds_every_window_once_in_bounded_batches(
    lengths: list[int], max_windows: int, max_positions: int
) -> None:
    plan = BatchPlan(np.array(lengths), max_windows, max_positions, seed=1)
    for epoch in (0, 1):
        plan.set_epoch(epoch)
        batches = list(plan)
        assert len(batches) == len(plan)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) <= max_windows
            assert len(batch) == 1 or len(batch) * max(lengths[one] for one in batch) <= max_positions

"""Tables are loaded into every backend once, as plain data, and bring nobody back."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.events import AttributeTable, Changes, EventTable, Tables
from features.imported_consent import ImportedConsent
from features.person import Person
from features.statements import Statement
from serving.state import load_tables_into_state, open_state
from serving.state.protocol import State
from serving.state.tables import plain


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def seen(person: Person) -> list[str]:
    return list(person.events.item_ids)


def tables() -> Tables:
    events = EventTable(
        users=np.array(["ann", "bob"], dtype=object),
        items=np.array(["i1", "i2"], dtype=object),
        types=("view", "buy"),
        user_codes=np.array([0, 0, 1]),
        item_codes=np.array([1, 0, 1]),
        type_codes=np.array([0, 1, 0]),
        moments=np.array([3, 3, 5]),
        values=np.array([np.nan, 2.5, np.nan], dtype=np.float32),
        event_ids=np.array(["a", "b", "c"], dtype=object),
        contexts={"device": np.array(["tv", None, "phone"], dtype=object)},
    )
    users = AttributeTable(
        ids=np.array(["ann", "bob", "eve"], dtype=object),
        columns={"age": np.array([np.int64(30), np.nan, 50], dtype=object)},
        changes={
            "plan": Changes(np.array([0, 0]), np.array([1, 4]), np.array(["free", "pro"], dtype=object)),
        },
    )
    consent = ImportedConsent((Statement("consent", "train", "granted", 0, "assumed: a test"),), {})
    items = replace(users, columns={}, changes={})
    return Tables(events=events, users=users, items=items, fingerprint="f", consent=consent)


def test_tables_are_loaded_once(state: State) -> None:
    assert load_tables_into_state(state, tables()) == (3, 0, 0)
    before = [state.export(user) for user in ("ann", "bob", "eve")]
    assert load_tables_into_state(state, tables()) == (0, 3, 0)
    assert [state.export(user) for user in ("ann", "bob", "eve")] == before
    ann = state.person("ann")
    assert seen(ann) == ["i2", "i1"]
    assert list(ann.events.types) == ["view", "buy"]
    assert ann.events.values[1] == 2.5
    assert ann.events.contexts == [{"device": "tv"}, {"device": None}]
    assert ann.attributes == {"age": 30}
    assert [ann.attribute("plan", moment) for moment in (0, 1, 4)] == [None, "free", "pro"]
    assert state.person("bob").attributes == {"age": None}
    assert list(state.user_ids()) == ["ann", "bob", "eve"]


def test_tables_bring_nobody_back_who_was_erased(state: State) -> None:
    load_tables_into_state(state, tables())
    for user in ("ann", "eve"):
        state.erase(user, moment=9)
    assert load_tables_into_state(state, tables()).stored == 0
    assert list(state.user_ids()) == ["bob"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.1), float(np.float32(0.1))),
        (np.array(["a", "b"], dtype=object), ["a", "b"]),
        (("a", None), ["a", None]),
        (np.datetime64("1990-02-03T04:05:06"), "1990-02-03T04:05:06"),
        (np.datetime64("NaT"), None),
        (float("nan"), None),
        ("text", "text"),
    ],
)
def test_values_become_plain_data(value: Any, expected: Any) -> None:
    assert plain(value) == expected

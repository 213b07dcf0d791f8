"""What was known of erased people reaches no reader of tables, whichever file the marks lie in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError
from features.events import AttributeTable, Changes, EventTable, Tables
from features.imported_consent import ImportedConsent
from features.moments import to_moment
from features.people import People
from features.statements import Statement
from features.tables import load_tables
from features.tombstones import Tombstones, mark_of, read_tombstones, without_erased

SHOP: dict[str, Any] = {
    "order": {"time": "at"},
    "events": {"path": "log/events/*/*.csv", "type": "kind"},
    "types": {"view": {}},
    "users": {
        "path": "users.csv",
        "columns": {
            "city": {"role": "categorical", "static": True},
            "plan": {"role": "categorical", "time": "since", "path": "plans.csv"},
        },
    },
}
ERASED_AT = to_moment("2026-01-02T12:00:00Z")


def tombstones(**erased: int) -> Tombstones:
    return Tombstones("key", {mark_of("key", "user", user): moment for user, moment in erased.items()})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for day in (1, 2, 3):
        folder = tmp_path / "log" / "events" / f"date=2026-01-0{day}"
        folder.mkdir(parents=True)
        rows = [f"{user},i{day},view,2026-01-0{day}T10:00:00Z" for user in ("ann", "bob", "eve")]
        (folder / "part.csv").write_text("\n".join(["user_id,item_id,kind,at", *rows]))
    (tmp_path / "users.csv").write_text("user_id,city\nann,Oslo\nbob,Bern\neve,Rome\n")
    (tmp_path / "plans.csv").write_text(
        "user_id,plan,since\nann,pro,2026-01-01\nbob,free,2026-01-01\nann,x,2026-01-04\n"
    )
    return tmp_path


def users_of(tables: Tables) -> list[tuple[str, int]]:
    return [(user, stop - start) for user, start, stop in tables.events.by_user()]


@pytest.mark.parametrize(
    "place", ["log/events/_erased.json", "log/events/date=2026-01-01/_erased.json", "_erased.json"]
)
def test_marks_beside_a_table_are_found(shop: Path, place: str) -> None:
    whole = load_tables(DatasetConfig.parse(SHOP), shop)
    tombstones(ann=ERASED_AT, stranger=ERASED_AT).write(shop / place)
    tables = load_tables(DatasetConfig.parse(SHOP), shop)
    assert users_of(whole) == [("ann", 3), ("bob", 3), ("eve", 3)]
    assert users_of(tables) == [("ann", 1), ("bob", 3), ("eve", 3)]
    assert tables.users.ids.tolist() == ["bob", "eve"]
    assert tables.users.columns["city"].tolist() == ["Bern", "Rome"]
    assert tables.users.ids[tables.users.changes["plan"].entity_codes].tolist() == ["bob"]
    assert tables.fingerprint != whole.fingerprint


def test_marks_can_be_named(shop: Path) -> None:
    (shop / "marks").mkdir()
    tombstones(eve=ERASED_AT * 2).write(shop / "marks" / "all.json")
    named = DatasetConfig.parse({**SHOP, "erased": "marks/all.json"})
    assert users_of(load_tables(named, shop)) == [("ann", 3), ("bob", 3)]
    assert "eve" not in load_tables(named, shop).events.users.tolist()
    frames = {"events": pd.DataFrame({"user_id": ["ann", "eve"], "item_id": "i", "kind": "view", "at": "2026-01-01"})}
    assert users_of(load_tables(named, shop, frames)) == [("ann", 1)]


def test_named_marks_must_be_there(shop: Path) -> None:
    with pytest.raises(ConfigError, match="no file 'marks"):
        load_tables(DatasetConfig.parse({**SHOP, "erased": "marks.json"}), shop)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"key": "k", "marks": ["a"]}', '{"key": "k", "marks": {"a": "b"}}']
)
def test_what_holds_no_marks_stops_a_training(shop: Path, content: str) -> None:
    (shop / "_erased.json").write_text(content)
    with pytest.raises(DataError, match="holds no tombstones"):
        load_tables(DatasetConfig.parse(SHOP), shop)


def test_nothing_left_is_told(shop: Path) -> None:
    tombstones(ann=ERASED_AT * 2, bob=ERASED_AT * 2, eve=ERASED_AT * 2).write(shop / "_erased.json")
    with pytest.raises(DataError, match="every event belongs to somebody who was erased"):
        load_tables(DatasetConfig.parse(SHOP), shop)


def test_marks_are_kept_by_their_owner_alone_and_name_nobody(tmp_path: Path) -> None:
    written = tombstones(ann=5)
    written.write(tmp_path / "_erased.json")
    assert read_tombstones(tmp_path / "_erased.json") == written
    assert (tmp_path / "_erased.json").stat().st_mode & 0o077 == 0
    assert "ann" not in (tmp_path / "_erased.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["_erased.json"]


def test_a_visitor_of_the_same_name_has_a_mark_of_their_own() -> None:
    marks = {mark_of("key", kind, "x") for kind in ("user", "visitor", "event")}
    assert len({*marks, mark_of("other key", "user", "x")}) == 4
    visitor = Tombstones("key", {mark_of("key", "visitor", "x"): 7})
    assert (visitor.of_user("x"), visitor.of_rows("x"), visitor.of_rows("y")) == (None, 7, None)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=20),
    st.dictionaries(st.integers(0, 5), st.integers(0, 9), max_size=4),
)
def test_what_is_left_is_what_a_plain_filter_leaves(rows: list[tuple[int, int]], erased: dict[int, int]) -> None:
    rows = sorted(rows)
    left = without_erased(table_of(rows), tombstones(**{f"u{user}": moment for user, moment in erased.items()}))
    events = left.events
    found = list(zip(events.users[events.user_codes].tolist(), events.moments.tolist(), strict=True))
    assert found == [(f"u{user}", moment) for user, moment in rows if user not in erased or moment > erased[user]]
    assert left.users.ids.tolist() == [f"u{user}" for user in range(5) if user not in erased]
    changes = left.users.changes["plan"]
    assert changes.values.tolist() == left.users.ids[changes.entity_codes].tolist() == left.users.ids.tolist()
    dataset = DatasetConfig.parse({"order": {"time": "at"}, "events": {}, "types": {"view": {}}})
    if len(events):
        people = People(dataset, left)
        assert [len(people.person(user).events) for user in people.user_ids] == [
            len([1 for user, _ in found if user == one]) for one in sorted({user for user, _ in found})
        ]


def test_answers_of_those_who_are_gone_go_too() -> None:
    said = (Statement("consent", "train", "denied", 1, "table"),)
    consent = ImportedConsent(assumed=(), declared={f"u{user}": said for user in range(5)})
    tables = replace(table_of([(1, 3), (2, 3), (2, 9)]), consent=consent)
    left = without_erased(tables, tombstones(u1=5, u2=5)).consent
    assert left is not None
    assert sorted(left.declared) == ["u0", "u2", "u3", "u4"]


def table_of(rows: list[tuple[int, int]]) -> Tables:
    users = np.array([f"u{user}" for user in range(5)], dtype=object)
    codes = np.array([user for user, _ in rows])
    events = EventTable(
        users=users,
        items=np.array(["i"], dtype=object),
        types=("view",),
        user_codes=codes,
        item_codes=np.zeros(len(rows), dtype=np.int64),
        type_codes=np.zeros(len(rows), dtype=np.int64),
        moments=np.array([moment for _, moment in rows]),
        values=np.full(len(rows), np.nan, dtype=np.float32),
        event_ids=np.array([str(row) for row in range(len(rows))], dtype=object),
        contexts={},
    )
    changes = Changes(np.arange(5), np.zeros(5, dtype=np.int64), users)
    table = AttributeTable(ids=users, columns={}, changes={"plan": changes})
    return Tables(events, table, AttributeTable(ids=users[:0], columns={}, changes={}), "f")

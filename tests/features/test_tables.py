"""Tables of every engine, from files and from frames, give the same arrays."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import DatasetConfig
from features.errors import DataError
from features.event_ids import event_id
from features.events import Tables
from features.frames import Engine
from features.tables import load_tables
from tests.features.table_shop import ENGINES, SHOP, frame_of, small, written


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_reads_the_same_tables(shop: Path, engine: Engine) -> None:
    tables = load_tables(DatasetConfig.parse(SHOP), shop, engine=engine)
    assert_is_the_shop(tables)
    assert tables.fingerprint == load_tables(DatasetConfig.parse(SHOP), shop).fingerprint


def assert_is_the_shop(tables: Tables) -> None:
    events, users, items = tables.events, tables.users, tables.items
    assert list(events.users) == ["10", "9"], "ids sort as text and keep their zeros"
    assert list(events.items) == ["007", "12"]
    told = [
        (user, *(list(part.item_ids), list(part.types), part.moments.tolist()))
        for user, start, stop in events.by_user()
        for part in [events.slice_of(start, stop)]
    ]
    nine = 1_714_554_000_000
    assert told == [
        ("10", ["12", "007", "007"], ["view"] * 3, [nine, nine + 3_600_000, nine + 3_600_000]),
        ("9", ["007", "12"], ["view", "buy"], [nine + 3_599_500, nine + 3_600_000]),
    ]
    np.testing.assert_array_equal(events.values, np.array([np.nan, np.nan, np.nan, 1, 4.5], np.float32))
    assert list(events.contexts["device"]) == ["tablet, old", "phone", "phone", "phone", None]
    assert len(set(events.event_ids)) == 5
    assert list(users.ids) == ["10", "11", "9"]
    assert list(users.columns["city"]) == [None, "Bern", "Oslo"]
    assert list(users.changes["plan"].values) == ["free", "pro"]
    assert users.changes["plan"].entity_codes.tolist() == [2, 2]
    assert users.changes["plan"].moments.tolist() == [1_700_000_000_000, 1_714_550_400_000]
    assert items.titles is not None
    assert list(items.titles) == ["Brush", "Soap"], "what does not change is read from the newest row"
    assert list(items.columns["tags"]) == [["a", "b"], []]
    assert list(items.changes["price"].values) == [None, 2.0, 1.5]
    assert items.available_from is not None
    assert items.available_from.tolist() == [1_706_745_600_000, np.iinfo(np.int64).min]
    assert items.available_to is not None
    assert items.available_to.tolist() == [np.iinfo(np.int64).max, 1_735_689_600_000]


@pytest.mark.parametrize("engine", ENGINES)
def test_frames_take_the_place_of_files(tmp_path: Path, engine: str) -> None:
    columns = {"user_id": [2, 10, 2], "item_id": ["b", "a", "a"], "n": [5, 1, 4]}
    frame = frame_of(engine, columns)
    events = load_tables(small(), tmp_path, {"events": frame}).events
    assert list(events.users) == ["10", "2"]
    assert list(events.items[events.item_codes]) == ["a", "a", "b"]
    assert events.moments.tolist() == [1, 4, 5]
    assert np.isnan(events.values).all()


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
@settings(max_examples=25)
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1), seed=st.randoms())
def test_the_order_of_rows_changes_nothing(engine: str, rows: list[tuple[int, int, int]], seed: Any) -> None:
    shuffled = list(rows)
    seed.shuffle(shuffled)
    first, second = (
        load_tables(
            small(), Path(), {"events": frame_of(engine, dict(zip(("user_id", "item_id", "n"), columns, strict=True)))}
        )
        for columns in (zip(*rows, strict=True), zip(*shuffled, strict=True))
    )
    assert first.fingerprint == second.fingerprint
    keys = [(str(user), moment) for user, _, moment in rows]
    users = first.events.users[first.events.user_codes]
    assert list(zip(users, first.events.moments.tolist(), strict=True)) == sorted(keys)
    assert len(set(first.events.event_ids)) == len(rows)


def test_a_derived_id_tells_equal_events_apart_by_their_ordinal(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 7, 7], "n": [3, 3, 4]})
    events = load_tables(small(), tmp_path, {"events": frame}).events
    assert list(events.event_ids) == [
        event_id("1", "7", "view", 3, 0),
        event_id("1", "7", "view", 3, 1),
        event_id("1", "7", "view", 4, 0),
    ]
    assert event_id("1", "17", "view", 3, 0) != event_id("11", "7", "view", 3, 0)


def test_an_event_id_that_comes_twice_is_loaded_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [7, 8, 7], "n": [3, 4, 1], "e": ["x", "x", "y"]})
    events = load_tables(small(id="e"), tmp_path, {"events": frame}).events
    assert list(events.event_ids) == ["x", "y"]
    assert events.moments.tolist() == [3, 1]


def test_a_sequence_orders_events_of_one_time(tmp_path: Path) -> None:
    dataset = DatasetConfig.parse({"order": {"time": "at", "sequence": "n"}, "events": {}, "types": {"view": {}}})
    frame = pd.DataFrame({"user_id": [1, 1, 1], "item_id": ["a", "b", "c"], "at": [9, 9, 8], "n": [2, 1, 3]})
    events = load_tables(dataset, tmp_path, {"events": frame}).events
    assert list(events.items[events.item_codes]) == ["c", "b", "a"]
    assert events.moments.tolist() == [8_000, 9_000, 9_000]


@pytest.mark.parametrize(
    "times",
    [
        ["2024-05-01T10:00:00Z", "2024-05-01 12:00:00.5+02:00"],
        [1_714_557_600, 1_714_557_600.5],
        ["1714557600", "2024-05-01T10:00:00.500"],
        pd.to_datetime(["2024-05-01T10:00:00.0", "2024-05-01T10:00:00.5"]),
        pd.to_datetime(["2024-05-01T10:00:00.0", "2024-05-01T10:00:00.5"]).tz_localize("UTC").tz_convert("Asia/Tokyo"),
        pd.to_datetime(["2024-05-01T10:00:00.0", "2024-05-01T10:00:00.5"]).as_unit("ns"),
        pd.Series(["2024-05-01T10:00:00Z", "2024-05-01T10:00:00.5Z"], dtype="category"),
    ],
)
def test_times_of_every_form_are_milliseconds(tmp_path: Path, times: Any) -> None:
    dataset = DatasetConfig.parse({"order": {"time": "at"}, "events": {}, "types": {"view": {}}})
    frame = pd.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "at": times})
    events = load_tables(dataset, tmp_path, {"events": frame}).events
    assert events.moments.tolist() == [1_714_557_600_000, 1_714_557_600_500]


def test_several_files_and_a_format_without_header(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("1::Amélie::5\n", encoding="latin-1")
    (tmp_path / "b.dat").write_text('1::"x" \'y::4\n', encoding="latin-1")
    form = {"separator": "::", "encoding": "latin-1", "columns": ["user_id", "item_id", "n"]}
    for engine in ("pandas", "polars", "duckdb"):
        events = load_tables(small(path="*.dat", format=form), tmp_path, engine=engine).events
        assert list(events.items[events.item_codes]) == ['"x" \'y', "Amélie"]


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_files_of_one_table_may_differ_in_the_size_of_numbers_only(tmp_path: Path, engine: Engine) -> None:
    columns = {"user_id": [1], "item_id": [1], "n": [1]}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    narrow = pa.table({"n": pa.array([2], pa.int32()), "user_id": [2], "item_id": [1]})
    pyarrow.parquet.write_table(narrow, tmp_path / "b.parquet")
    assert load_tables(small(path="*.parquet"), tmp_path, engine=engine).events.moments.tolist() == [1, 2]
    pyarrow.parquet.write_table(pa.table(columns | {"user_id": ["1"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="column 'user_id' is Int64 and String in different files"):
        load_tables(small(path="*.parquet"), tmp_path, engine=engine)
    pyarrow.parquet.write_table(pa.table({"user_id": [1]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet and a\.parquet have different columns"):
        load_tables(small(path="*.parquet"), tmp_path, engine=engine)


def test_an_unknown_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,n\n1,1,1\n")
    with pytest.raises(DataError, match="unknown encoding: klingon"):
        load_tables(small(path="events.csv", format={"encoding": "klingon"}), tmp_path)


def test_a_path_starts_at_the_config_and_then_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "events.csv").write_text("user_id,item_id,n\n1,here,1\n")
    monkeypatch.chdir(tmp_path)
    dataset = small(path="events.csv")
    assert list(load_tables(dataset, tmp_path / "configs").events.items) == ["here"]
    (tmp_path / "configs" / "events.csv").write_text("user_id,item_id,n\n1,beside,1\n")
    assert list(load_tables(dataset, tmp_path / "configs").events.items) == ["beside"]


def test_a_birth_date_and_a_number_in_text_are_decoded(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,n\n1,1,1\n")
    (tmp_path / "users.csv").write_text("user_id,born,height\n1,1950-03-01,1.75\n2,,\n")
    columns = {"born": {"role": "birth_date", "static": True}, "height": {"role": "numeric", "static": True}}
    sections = {"events": {"path": "events.csv"}, "users": {"path": "users.csv", "columns": columns}}
    dataset = DatasetConfig.parse({"order": {"time": "n"}, "types": {"view": {}}, **sections})
    users = load_tables(dataset, tmp_path).users
    assert list(users.columns["born"]) == [dt.datetime(1950, 3, 1, tzinfo=dt.UTC), None]
    assert list(users.columns["height"]) == [1.75, None]


def test_no_table_of_users_or_items_is_an_empty_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1], "item_id": [1], "n": [1]})
    tables = load_tables(small(), tmp_path, {"events": frame})
    assert (len(tables.users), len(tables.items)) == (0, 0)


def test_files_of_one_name_in_several_folders_are_all_read(tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        (tmp_path / f"day={day}" / "part.csv").write_text(f"user_id,item_id,kind,at\nann,i{day},view,2024-05-0{day}\n")
    dataset = DatasetConfig.parse(
        {**SHOP, "events": {"path": "day=*/part.csv", "type": "kind"}, "users": {}, "items": {}}
    )
    assert load_tables(dataset, tmp_path).events.items.tolist() == ["i1", "i2"]

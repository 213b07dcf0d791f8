"""Tables of every engine, from files and from frames, give the same arrays; what cannot be read is refused."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.checks import check_tables
from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError, TailorbirdError
from features.event_ids import event_id
from features.events import Tables
from features.frames import Engine
from features.tables import load_tables

SHOP: dict[str, Any] = {
    "order": {"time": "at"},
    "events": {
        "path": "events.csv",
        "type": "kind",
        "value": "amount",
        "context": {"device": {"role": "categorical"}},
    },
    "types": {"view": {}, "buy": {"weight": 3}},
    "users": {
        "path": "users.csv",
        "columns": {
            "city": {"role": "categorical", "static": True},
            "plan": {"role": "categorical", "time": "since", "path": "plans.csv"},
        },
    },
    "items": {
        "path": "items.parquet",
        "title": "name",
        "columns": {
            "tags": {"role": "multi_categorical", "static": True},
            "price": {"role": "numeric", "time": "priced"},
        },
        "available": {"from": "starts", "to": "ends"},
    },
}
EVENTS = """user_id,item_id,kind,at,amount,device
10,007,view,2024-05-01T10:00:00Z,,phone
9,12,buy,2024-05-01T12:00:00+02:00,4.5,
10,12,view,2024-05-01T09:00:00Z,,"tablet, old"
10,007,view,2024-05-01T10:00:00Z,,phone
9,007,view,2024-05-01T09:59:59.5Z,1,phone
"""
ENGINES = ["pandas", "polars", "duckdb", pytest.param("spark", marks=pytest.mark.spark)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "users.csv").write_text("user_id,city\n9,Oslo\n10,\n11,Bern\n")
    (tmp_path / "plans.csv").write_text("user_id,plan,since\n9,pro,1714550400\n9,free,1700000000\n")
    utc = dt.UTC
    items = pa.table(
        {
            "item_id": ["12", "007", "12"],
            "name": ["Soap (old)", "Brush", "Soap"],
            "tags": [["old"], ["a", "b"], []],
            "price": [2.0, None, 1.5],
            "priced": pa.array([dt.datetime(2024, 1, day, tzinfo=utc) for day in (1, 1, 9)], pa.timestamp("us", "UTC")),
            "starts": pa.array([None, dt.date(2024, 2, 1), None], pa.date32()),
            "ends": pa.array([None, None, dt.datetime(2025, 1, 1)], pa.timestamp("ms")),  # noqa: DTZ001
        }
    )
    pyarrow.parquet.write_table(items, tmp_path / "items.parquet")
    return tmp_path


def small(**events: Any) -> DatasetConfig:
    """A data set of nothing but events in a sequence."""
    return DatasetConfig.parse({"order": {"sequence": "n"}, "events": events, "types": {"view": {}}})


def frame_of(engine: str, columns: dict[str, Any]) -> Any:
    table = pa.table(columns)
    match engine:
        case "pandas":
            return table.to_pandas()
        case "polars":
            import polars

            return polars.from_arrow(table)
        case "duckdb":
            import duckdb

            return duckdb.from_arrow(table)
        case _:
            sql = pytest.importorskip("pyspark.sql")
            return sql.SparkSession.builder.getOrCreate().createDataFrame(table)


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


Change = Callable[[Path], None]


def rewrite(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def whole(name: str, text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (rewrite("events.csv", "user_id", "uid"), "events.user", "no column 'user_id'; it has 'uid', 'item_id'"),
        (rewrite("events.csv", "device", "dev"), "events.context.device", "no column 'device'"),
        (rewrite("events.csv", ",at,", ",when,"), "order.time", "no column 'at'"),
        (rewrite("events.csv", "10:00:00Z", "25:00:00Z"), "order.time", "row 1 has '2024-05-01T25:00:00Z'"),
        (rewrite("events.csv", "2024-05-01T09:00:00Z", ""), "order.time", "row 3 has None in column 'at'"),
        (rewrite("events.csv", "2024-05-01T09:00:00Z", "1714554000000"), "order.time", "row 3 has '1714554000000'"),
        (rewrite("events.csv", "4.5", "four"), "events.value", "row 2 has 'four' in column 'amount'"),
        (rewrite("events.csv", "\n9,007", "\n,007"), "events.user", "1 rows have no id in column 'user_id'"),
        (rewrite("events.csv", "buy", "steal"), "events.type", "1 events have type 'steal'; `types` declares"),
        (whole("events.csv", EVENTS.splitlines()[0] + "\n"), "events.path", "the table of events is empty"),
        (whole("users.csv", "user_id,city\n"), "users.path", "the table of users is empty"),
        (rewrite("users.csv", "11,", "9,"), "users.id", "1 ids stand in several rows"),
        (rewrite("users.csv", "9,Oslo\n10,\n11,", "9.0,Oslo\n10.0,\n11.0,"), "users.id", "floats, for example •••"),
        (rewrite("plans.csv", "1714550400", "soon"), "users.columns.plan.time", "row 1 has ••• in column 'since'"),
        (lambda folder: (folder / "events.csv").unlink(), "events.path", "no file 'events.csv'"),
        (lambda folder: (folder / "events.csv").write_bytes(b"user_id\n\xff\n"), "events", ""),
        (whole("items.parquet", "no parquet"), "items.path", "cannot read"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(shop: Path, engine: Engine, change: Change, field: str, message: str) -> None:
    change(shop)
    with pytest.raises(TailorbirdError) as caught:
        load_tables(DatasetConfig.parse(SHOP), shop, engine=engine)
    assert str(caught.value.field).startswith(f"dataset.{field}")
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("engine", ENGINES)
def test_float_ids_are_refused_with_an_example(tmp_path: Path, engine: str) -> None:
    frame = frame_of(engine, {"user_id": [1, 2], "item_id": [1.0, 2.0], "n": [1, 2]})
    with pytest.raises(DataError, match=r"column 'item_id' holds floats, for example 1\.0.*cast to int64") as caught:
        load_tables(small(), tmp_path, {"events": frame})
    assert caught.value.field == "dataset.events.item"


@pytest.mark.parametrize(
    ("columns", "field", "message"),
    [
        ({"item_id": [True, False]}, "dataset.events.item", "column 'item_id' is Boolean"),
        ({"item_id": [[1], [2]]}, "dataset.events.item", "column 'item_id' is List"),
        ({"n": [1.5, 2.0]}, "dataset.order.sequence", "row 1 has 1.5 in column 'n', which is no whole number"),
        ({"n": [1, None]}, "dataset.order.sequence", "row 2 has None in column 'n', which is no whole number"),
        ({"v": [[1], [2]]}, "dataset.events.value", "column 'v' is list"),
        ({"at": [True, False]}, "dataset.order.time", "row 1 has True in column 'at', which is no time"),
        ({"at": [[1], [2]]}, "dataset.order.time", "row 1 has [1] in column 'at', which is no time"),
        ({"at": [1, None]}, "dataset.order.time", "row 2 has None in column 'at', which is no time"),
        ({"at": [2**40, 1]}, "dataset.order.time", "row 1 has 1099511627776 in column 'at', which is no time"),
        ({"at": pa.array([1, 2], pa.time64("us"))}, "dataset.order.time", "in column 'at', which is no time"),
    ],
)
def test_columns_of_a_wrong_kind_are_refused(tmp_path: Path, columns: dict[str, Any], field: str, message: str) -> None:
    frame = pa.table({"user_id": [1, 2], "item_id": [1, 2], "n": [1, 2], "v": [1, 2], "at": [1, 2]} | columns)
    order = {"time": "at", "sequence": "n"}
    dataset = DatasetConfig.parse({"order": order, "events": {"value": "v"}, "types": {"view": {}}})
    with pytest.raises(DataError) as caught:
        load_tables(dataset, tmp_path, {"events": frame})
    assert caught.value.field == field
    assert message in caught.value.message
    assert check_tables(dataset, tmp_path, {"events": frame}).errors, "a check finds what loading refuses"


def test_a_table_of_nothing_positive_is_refused(tmp_path: Path) -> None:
    dataset = DatasetConfig.parse(
        {"order": {"sequence": "n"}, "events": {"type": "t"}, "types": {"view": {}, "skip": {"sign": "negative"}}}
    )
    frame = pd.DataFrame({"user_id": [1], "item_id": [1], "n": [1], "t": ["skip"]})
    with pytest.raises(DataError, match="no event is positive"):
        load_tables(dataset, tmp_path, {"events": frame})


def test_an_empty_frame_is_refused_as_empty(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [], "item_id": [], "n": []}, dtype=float)
    with pytest.raises(DataError, match="the table of events is empty"):
        load_tables(small(), tmp_path, {"events": frame})


def test_what_is_no_table_and_what_is_not_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"frames\['events'\]: list is not a table"):
        load_tables(small(), tmp_path, {"events": [1, 2]})
    with pytest.raises(ConfigError, match=r"dataset\.events\.path: no table of events"):
        load_tables(small(), tmp_path)
    columns = {"city": {"role": "categorical", "static": True}}
    dataset = DatasetConfig.parse(
        {"order": {"sequence": "n"}, "events": {}, "types": {"view": {}}, "users": {"columns": columns}}
    )
    frame = pd.DataFrame({"user_id": [1], "item_id": [1], "n": [1]})
    with pytest.raises(ConfigError, match="the columns city are declared, but there is no table of users"):
        load_tables(dataset, tmp_path, {"events": frame})


def test_files_of_one_name_in_several_folders_are_all_read(tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        (tmp_path / f"day={day}" / "part.csv").write_text(f"user_id,item_id,kind,at\nann,i{day},view,2024-05-0{day}\n")
    dataset = DatasetConfig.parse(
        {**SHOP, "events": {"path": "day=*/part.csv", "type": "kind"}, "users": {}, "items": {}}
    )
    assert load_tables(dataset, tmp_path).events.items.tolist() == ["i1", "i2"]

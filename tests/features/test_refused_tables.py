"""Tables that cannot be read are refused in every engine, with the field and an example."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from features.checks import check_tables
from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError, TailorbirdError
from features.frames import Engine
from features.tables import load_tables
from tests.features.table_shop import ENGINES, EVENTS, SHOP, frame_of, small, written


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return written(tmp_path)


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

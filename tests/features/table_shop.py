"""A small shop in three files, and a frame of any engine."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from features.dataset import DatasetConfig

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


def written(folder: Path) -> Path:
    """The shop's files in a folder, which is given back."""
    (folder / "events.csv").write_text(EVENTS)
    (folder / "users.csv").write_text("user_id,city\n9,Oslo\n10,\n11,Bern\n")
    (folder / "plans.csv").write_text("user_id,plan,since\n9,pro,1714550400\n9,free,1700000000\n")
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
    pyarrow.parquet.write_table(items, folder / "items.parquet")
    return folder


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

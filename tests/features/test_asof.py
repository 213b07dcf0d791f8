"""The as-of join equals a search by hand, on every engine."""

from typing import Any

import narwhals as nw
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.asof import as_of

Row = tuple[int, int, int | None]
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.none() | st.integers(0, 9)), min_size=1, max_size=12)


def native(engine: str, table: pa.Table) -> Any:
    match engine:
        case "pandas":
            import pandas

            return table.to_pandas(types_mapper=pandas.ArrowDtype)
        case "polars":
            import polars

            return polars.from_arrow(table)
        case "duckdb":
            import duckdb

            return duckdb.from_arrow(table)
        case _:
            sql = pytest.importorskip("pyspark.sql")
            return sql.SparkSession.builder.getOrCreate().createDataFrame(table)


def by_hand(event: Row, changes: list[Row]) -> int | None:
    """The newest change at or before the event; of several at one time the greatest."""
    user, moment, _ = event
    past = [(at, value is not None, value or 0, value) for who, at, value in changes if who == user and at <= moment]
    return max(past)[-1] if past else None


def check(engine: str, events: list[Row], changes: list[Row]) -> None:
    numbers = list(range(len(events)))
    users, moments = ([row[column] for row in events] for column in (0, 1))
    left = nw.from_native(native(engine, pa.table({"event": numbers, "user": users, "at": moments}))).lazy()
    columns = [pa.array([row[column] for row in changes], pa.int64()) for column in range(3)]
    right = nw.from_native(native(engine, pa.table(columns, names=["user", "at", "plan"]))).lazy()
    joined = as_of(left, right, "user", "at", "plan").collect(backend="pyarrow").to_native().to_pylist()
    assert len(joined) == len(events)
    assert {row["event"]: row["plan"] for row in joined} == {
        number: by_hand(event, changes) for number, event in zip(numbers, events, strict=True)
    }


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_equals_a_search_by_hand(engine: str) -> None:
    @settings(max_examples=25)
    @given(events=ROWS, changes=ROWS)
    def holds(events: list[Row], changes: list[Row]) -> None:
        check(engine, events, changes)

    holds()


@pytest.mark.spark
def test_equals_a_search_by_hand_on_spark() -> None:
    check("spark", [(0, 3, None), (0, 1, None), (1, 9, None)], [(0, 2, 5), (0, 3, 4), (1, 3, 1), (1, 4, None)])

"""Frames of any engine behind one face, narwhals, and what the engines do differently.

Categorical columns are plain text here and Arrow tables are pandas frames on Arrow columns, so that every rule and
every cast meets the same few types.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import narwhals as nw
import pyarrow as pa
from narwhals.exceptions import NarwhalsError

from features.errors import DataError

Engine = Literal["pandas", "polars", "duckdb", "spark"]
Frame = nw.LazyFrame[Any]
Frames = Mapping[str, Any]
FILE = "__file"
ROW = "__row"


def given_frame(native: Any, field: str) -> Frame:
    """A frame given in Python. Raises `DataError` when it is none."""
    try:
        frame = nw.from_native(native)
    except TypeError:
        raise DataError(
            f"{type(native).__name__} is not a table",
            field=field,
            hint="Give a pandas or Polars frame, a DuckDB relation, a PySpark frame, or an Arrow table.",
        ) from None
    if frame.implementation is nw.Implementation.PYARROW:
        return plain_frame(from_arrow(frame.to_native(), "pandas"))
    return plain_frame(frame.to_native())


def plain_frame(native: Any) -> Frame:
    """A native frame with categories, and columns of nothing, as text."""
    frame: Frame = nw.from_native(native).lazy()
    schema = frame.collect_schema()
    texts = [name for name, dtype in schema.items() if isinstance(dtype, nw.Categorical | nw.Enum | nw.Unknown)]
    return frame.with_columns(nw.col(texts).cast(nw.String)) if texts else frame


def from_arrow(table: pa.Table, engine: Engine) -> Any:
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
        case "spark":
            from pyspark.sql import SparkSession

            return SparkSession.builder.getOrCreate().createDataFrame(table)


def number_rows(frame: Frame, file: str) -> Frame:
    """The frame with FILE and ROW; ROW is missing where the engine's rows have no order (Spark)."""
    native = frame.to_native()
    match frame.implementation:
        case nw.Implementation.DUCKDB:
            frame = nw.from_native(native.project(f"*, row_number() OVER () AS {ROW}"))
        case nw.Implementation.PYSPARK | nw.Implementation.PYSPARK_CONNECT:
            frame = frame.with_columns(nw.lit(None, dtype=nw.Int64).alias(ROW))
        case nw.Implementation.POLARS:
            frame = nw.from_native(native.with_row_index(ROW, offset=1)).with_columns(nw.col(ROW).cast(nw.Int64))
        case _:
            frame = frame.collect().with_row_index(ROW).with_columns(nw.col(ROW) + 1).lazy()
    return frame.with_columns(nw.lit(file).alias(FILE))


def require_columns(frame: Frame, columns: Iterable[tuple[str, str | None]], table: str) -> None:
    """Check that the columns exist, given as (config key such as `events.user`, column name or None)."""
    existing = frame.collect_schema().names()
    for key, column in columns:
        if column is not None and column not in existing:
            known = ", ".join(repr(name) for name in existing if name not in (FILE, ROW))
            raise DataError(
                f"the {table} table has no column {column!r}; it has {known}",
                field=f"dataset.{key}",
                hint="Name one of these, or leave the key out where it may be.",
            )


def stack(parts: Mapping[str, Frame], field: str) -> Frame:
    """The frames of several files, by name, as one. Raises `DataError` where columns or their types differ."""
    frames = list(parts.values())
    if len(frames) == 1:
        return frames[0]
    columns = frames[0].collect_schema().names()
    schemas = {name: part.collect_schema() for name, part in parts.items()}
    for name, schema in schemas.items():
        if set(schema) != set(columns):
            raise DataError(
                f"{name} and {next(iter(parts))} have different columns",
                field=field,
                hint="The files of one table must have the same columns.",
            )
    shared = [_shared_type(column, [one[column] for one in schemas.values()], field) for column in columns]
    return nw.concat([part.select(shared) for part in frames], how="vertical")


def _shared_type(column: str, dtypes: list[Any], field: str) -> nw.Expr:
    """A column that files may hold in several types, cast to one."""
    if all(dtype == dtypes[0] for dtype in dtypes):
        return nw.col(column)
    if all(dtype.is_integer() for dtype in dtypes):
        return nw.col(column).cast(nw.Int64)
    if all(dtype.is_numeric() for dtype in dtypes):
        return nw.col(column).cast(nw.Float64)
    found = " and ".join(sorted({str(dtype) for dtype in dtypes}))
    raise DataError(
        f"column {column!r} is {found} in different files", field=field, hint="Write these files with one type."
    )


def collect(frame: Frame, field: str = "dataset") -> pa.Table:
    """The frame as an Arrow table. Raises `DataError` when the engine cannot read what lies behind it."""
    try:
        table: pa.Table = frame.collect(backend="pyarrow").to_native()
    except engine_errors() as error:
        raise unreadable("the table", error, field) from None
    return table


def engine_errors() -> tuple[type[Exception], ...]:
    """What the engines loaded so far raise on a file or column that they cannot read."""
    known = {"duckdb": "Error", "polars.exceptions": "PolarsError", "pyspark.errors": "PySparkException"}
    loaded = [getattr(sys.modules[module], name) for module, name in known.items() if module in sys.modules]
    return (pa.ArrowException, NarwhalsError, UnicodeDecodeError, *loaded)


def unreadable(what: str, error: Exception, field: str) -> DataError:
    """The error of an engine in one line."""
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    hint = "Check the file, and `format:` of the table."
    return DataError(f"cannot read {what}: {first}", field=field, hint=hint)

"""Tables on disk, or frames given in Python, as narwhals frames of one engine.

Delimited text is read as text, column by column, on every engine: the roles of the config say what it means,
so no reader guesses and `007` stays an id of three characters. An empty field is a missing value.
"""

import glob
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import narwhals.selectors as selectors
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from narwhals.exceptions import NarwhalsError

from features.dataset import FormatConfig, TableConfig
from features.errors import ConfigError, DataError

Engine = Literal["pandas", "polars", "duckdb", "spark"]
Frame = nw.LazyFrame[Any]
Frames = Mapping[str, Any]
FILE = "__file"
ROW = "__row"
_SINGLE = "\x1f"


def open_table(
    table: TableConfig, name: str, folder: Path, engine: Engine, frames: Frames | None, numbered: bool = False
) -> Frame | None:
    """The table `name` ("events", "users", "items"): a frame given in Python, else its files, else None.

    With `numbered`, two columns say where each row stands: FILE, and ROW counted from 1 without the header.
    """
    if frames is not None and name in frames:
        frame = _lazy(frames[name], f"frames[{name!r}]")
        return number_rows(frame, "frame") if numbered else frame
    if table.path is None:
        return None
    return read_files(table.path, table.format, folder, engine, f"dataset.{name}.path", numbered)


def read_files(
    path: str, form: FormatConfig, folder: Path, engine: Engine, field: str, numbered: bool = False
) -> Frame:
    """All files that a path or glob names, one after another. Raises `ConfigError` when there is none."""
    files = find_files(path, folder, field)
    parts = [_read_file(file, form, engine, field) for file in files]
    columns = parts[0].collect_schema().names()
    for file, part in zip(files[1:], parts[1:], strict=True):
        if set(part.collect_schema().names()) != set(columns):
            raise DataError(
                f"{file.name} and {files[0].name} have different columns",
                field=field,
                hint="The files of one table must have the same header.",
            )
    if numbered:
        parts = [number_rows(part, file.name) for part, file in zip(parts, files, strict=True)]
        columns = [*columns, ROW, FILE]
    try:
        return parts[0] if len(parts) == 1 else nw.concat([part.select(columns) for part in parts], how="vertical")
    except (*engine_errors(), TypeError) as error:
        raise _unreadable("these files as one table", error, field) from None


def find_files(path: str, folder: Path, field: str) -> list[Path]:
    """The files of a path or glob, sorted.

    A relative path starts at `folder`, that of the config file, if it leads to a file from there, else at the
    working directory.
    """
    for start in (folder, Path.cwd()):
        found = sorted(Path(name) for name in glob.glob(str(start / path)) if Path(name).is_file())  # noqa: PTH207
        if found:
            return found
    raise ConfigError(
        f"no file {path!r}, neither from {folder.resolve()} nor from {Path.cwd()}",
        field=field,
        hint="Check the path; `${TAILORBIRD_DATA:-…}` in a path is set by the environment.",
    )


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


def collect(frame: Frame, field: str = "dataset") -> pa.Table:
    """The frame as an Arrow table. Raises `DataError` when the engine cannot read what lies behind it."""
    try:
        table: pa.Table = frame.collect(backend="pyarrow").to_native()
    except engine_errors() as error:
        raise _unreadable("the table", error, field) from None
    return table


def engine_errors() -> tuple[type[Exception], ...]:
    """What the engines loaded so far raise on a file or column that they cannot read."""
    known = {"duckdb": "Error", "polars.exceptions": "PolarsError", "pyspark.errors": "PySparkException"}
    loaded = [getattr(sys.modules[module], name) for module, name in known.items() if module in sys.modules]
    return (pa.ArrowException, NarwhalsError, UnicodeDecodeError, LookupError, *loaded)


def _unreadable(what: str, error: Exception, field: str) -> DataError:
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    hint = "Check the file, and `format:` of the table."
    return DataError(f"cannot read {what}: {first}", field=field, hint=hint)


def _lazy(native: Any, field: str) -> Frame:
    try:
        frame = nw.from_native(native)
    except TypeError:
        raise DataError(
            f"{type(native).__name__} is not a table",
            field=field,
            hint="Give a pandas or Polars frame, a DuckDB relation, a PySpark frame, or an Arrow table.",
        ) from None
    if frame.implementation is nw.Implementation.PYARROW:
        frame = nw.from_native(_from_arrow(frame.to_native(), "pandas"))
    return _without_categories(frame.lazy())


def _without_categories(frame: Frame) -> Frame:
    """Categorical columns as plain text, which is what they stand for."""
    return frame.with_columns(selectors.by_dtype(nw.Categorical, nw.Enum).cast(nw.String))


def _read_file(file: Path, form: FormatConfig, engine: Engine, field: str) -> Frame:
    parquet = file.suffix.lower() in (".parquet", ".pq")
    plain = form.columns is None and len(form.separator) == 1 and form.encoding.lower() in ("utf-8", "utf8")
    try:
        match engine:
            case "polars":
                native = _read_polars(file, form.separator, parquet) if parquet or plain else None
            case "duckdb":
                native = _read_duckdb(file, form.separator, parquet) if parquet or plain else None
            case "spark":
                native = _read_spark(file, form.separator, parquet) if parquet or plain else None
            case "pandas":
                native = None
        if native is None:
            table = pyarrow.parquet.read_table(file) if parquet else read_delimited(file, form)
            native = _from_arrow(table, engine)
        lazy = _without_categories(nw.from_native(native).lazy())
        lazy.collect_schema()
    except engine_errors() as error:
        raise _unreadable(str(file), error, field) from None
    return lazy


def _read_polars(file: Path, separator: str, parquet: bool) -> Any:
    import polars

    if parquet:
        return polars.scan_parquet(file)
    return polars.scan_csv(file, separator=separator, infer_schema=False)


def _read_duckdb(file: Path, separator: str, parquet: bool) -> Any:
    import duckdb

    if parquet:
        return duckdb.read_parquet(str(file))
    return duckdb.read_csv(str(file), sep=separator, header=True, all_varchar=True)


def _read_spark(file: Path, separator: str, parquet: bool) -> Any:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    if parquet:
        return spark.read.parquet(str(file))
    return spark.read.csv(str(file), sep=separator, header=True, inferSchema=False, escape='"')


def read_delimited(file: Path, form: FormatConfig) -> pa.Table:
    """A delimited text file as an Arrow table of text. A separator of several characters knows no quotes."""
    single = len(form.separator) == 1
    separator = form.separator if single else _SINGLE
    text = file.read_text(encoding=form.encoding)
    content = (text if single else text.replace(form.separator, separator)).encode()
    columns = form.columns or content.split(b"\n", 1)[0].decode().strip("\ufeff\r").split(separator)
    if not content.strip():
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    names = [name.strip('"') for name in columns]
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=0 if form.columns else 1),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=separator, quote_char='"' if single else False, newlines_in_values=single
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, null_values=[""], strings_can_be_null=True
        ),
    )


def _from_arrow(table: pa.Table, engine: Engine) -> Any:
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

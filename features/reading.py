"""Tables on disk, or frames given in Python, as frames of one engine.

Delimited text is read as text, column by column, on every engine: the roles of the config say what it means,
so no reader guesses and `007` stays an id of three characters. An empty field is a missing value.
"""

import glob
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.dataset import FormatConfig, TableConfig
from features.errors import ConfigError
from features.frames import (
    Engine,
    Frame,
    Frames,
    engine_errors,
    from_arrow,
    given_frame,
    number_rows,
    plain_frame,
    stack,
    unreadable,
)

_SINGLE = "\x1f"


def open_table(
    table: TableConfig, name: str, folder: Path, engine: Engine, frames: Frames | None, numbered: bool = False
) -> Frame | None:
    """The table `name` ("events", "users", "items"): a frame given in Python, else its files, else None.

    With `numbered`, two columns say where each row stands: FILE, and ROW counted from 1 without the header.
    """
    if frames is not None and name in frames:
        frame = given_frame(frames[name], f"frames[{name!r}]")
        return number_rows(frame, "frame") if numbered else frame
    if table.path is None:
        return None
    return read_files(table.path, table.format, folder, engine, f"dataset.{name}.path", numbered)


def read_files(
    path: str, form: FormatConfig, folder: Path, engine: Engine, field: str, numbered: bool = False
) -> Frame:
    """All files that a path or glob names, one after another. Raises `ConfigError` when there is none."""
    return read_these(find_files(path, folder, field), form, engine, field, numbered)


def read_these(files: list[Path], form: FormatConfig, engine: Engine, field: str, numbered: bool = False) -> Frame:
    """Exactly these files, one after another; `FILE` is a file's name, or its path where several have that name."""
    names = Counter(file.name for file in files)
    parts = {file.name if names[file.name] == 1 else str(file): _read_file(file, form, engine, field) for file in files}
    if numbered:
        parts = {name: number_rows(part, name) for name, part in parts.items()}
    return stack(parts, field)


def find_files(path: str, folder: Path, field: str) -> list[Path]:
    """The files of a path or glob, sorted.

    A relative path starts at `folder`, that of the config file, if it leads to a file from there, else at the
    working directory.
    """
    for start in (folder, Path.cwd()):
        names = glob.glob(path, root_dir=start, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        found = sorted(start / name for name in names if (start / name).is_file())
        if found:
            return found
    raise ConfigError(
        f"no file {path!r}, neither from {folder.resolve()} nor from {Path.cwd()}",
        field=field,
        hint="Check the path; `${TAILORBIRD_DATA:-…}` in a path is set by the environment.",
    )


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
            native = from_arrow(table, engine)
        lazy = plain_frame(native)
        lazy.collect_schema()
    except _file_errors() as error:
        raise unreadable(str(file), error, field) from None
    return lazy


def _file_errors() -> tuple[type[Exception], ...]:
    """What a file may raise, also one in an encoding that Python does not know."""
    return (*engine_errors(), LookupError)


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

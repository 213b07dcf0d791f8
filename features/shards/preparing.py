"""`tailorbird prepare`: the events of a data set, checked and written as shards by the engine that the config names."""

import shutil
from pathlib import Path

import numpy as np

from features import check_report
from features.checks import check_tables
from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError
from features.event_loading import require_positive
from features.events import EventTable
from features.frames import Frame
from features.reading import find_files
from features.shards.in_memory import write_in_memory
from features.shards.layout import LIST, Part, Prepared, meaning_of, read_list, sources_of, write_list
from features.shards.on_polars import write_on_polars
from features.shards.on_spark import start_spark, write_on_spark
from features.shards.parts import read_parts
from features.shards.settings import TablesConfig
from features.tables import open_events


def prepare(dataset: DatasetConfig, folder: Path, tables: TablesConfig, *, check: bool = True) -> Prepared:
    """Write the events of `dataset` as shards into `tables.prepared`; what lay there before is gone.

    Relative paths of tables start at `folder`, that of the config file. Every rule is checked first, and its report
    written beside the shards, unless `check` is off. Raises `ConfigError`, and `DataError` as a load does.
    """
    _require_ids_as_they_are(dataset)
    output = prepared_folder(folder, tables)
    if tables.engine == "spark":
        start_spark(tables.spark_master)
    frame = open_events(dataset, folder, tables.engine)
    _clear(output)
    if check:
        _check(dataset, folder, tables, output)
    parts = _write(dataset, frame, output, tables)
    if not parts:
        raise DataError(
            "the table of events is empty", field="dataset.events.path", hint="There is nothing to prepare."
        )
    require_positive(dataset, np.array([part.types for part in parts]).sum(axis=0))
    prepared = Prepared(tuple(parts), tables.engine, meaning_of(dataset), sources_of(_files(dataset, folder)))
    write_list(prepared, output)
    return prepared


def read_prepared(dataset: DatasetConfig, folder: Path, tables: TablesConfig) -> EventTable:
    """The events that `prepare` wrote, whichever engine did. Raises `DataError` where they are not those of now."""
    _require_ids_as_they_are(dataset)
    output = prepared_folder(folder, tables)
    prepared = read_list(output, dataset, _files(dataset, folder))
    return read_parts(dataset, [output / part.file for part in prepared.parts])


def _require_ids_as_they_are(dataset: DatasetConfig) -> None:
    if dataset.pseudonyms is not None:
        raise ConfigError(
            "events cannot be prepared where people have pseudonyms: shards hold ranges of ids as tables spell them",
            field="dataset.pseudonyms",
            hint="Leave `tables.prepared` out, or prepare tables that hold pseudonyms already, such as exported logs.",
        )


def prepared_folder(folder: Path, tables: TablesConfig) -> Path:
    """Where shards lie; a relative path starts at the folder of the config file. Raises `ConfigError`."""
    if tables.prepared is None:
        raise ConfigError("no folder is named for prepared events", field="tables.prepared", hint="Name one.")
    return folder / tables.prepared


def _files(dataset: DatasetConfig, folder: Path) -> list[Path]:
    return find_files(str(dataset.events.path), folder, "dataset.events.path")


def _clear(output: Path) -> None:
    """No part of another run is left; a folder with anything else in it is refused."""
    output.mkdir(parents=True, exist_ok=True)
    ours = (LIST, ".", "part-", "check.")
    strange = [one.name for one in output.iterdir() if not one.name.startswith(ours)]
    if strange:
        raise ConfigError(
            f"{output} holds {strange[0]}, which no preparation wrote",
            field="tables.prepared",
            hint="Name a folder of its own: what it holds is replaced.",
        )
    (output / LIST).unlink(missing_ok=True)
    for one in output.iterdir():
        shutil.rmtree(one) if one.is_dir() else one.unlink()


def _check(dataset: DatasetConfig, folder: Path, tables: TablesConfig, output: Path) -> None:
    report = check_tables(dataset, folder, engine=tables.engine, load=False)
    check_report.write(report, output)
    check_report.refuse_errors(report, output)


def _write(dataset: DatasetConfig, frame: Frame, output: Path, tables: TablesConfig) -> list[Part]:
    match tables.engine:
        case "polars":
            return write_on_polars(dataset, frame, output, tables.part_events)
        case "spark":
            return write_on_spark(dataset, frame, output, tables.part_events)
        case "pandas" | "duckdb":
            return write_in_memory(dataset, frame, output, tables.part_events)

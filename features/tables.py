"""All tables of a data set in memory: what `tailorbird train`, `recommend` and `state load` start from.

The same files or frames give the same result on every engine: same rows, same order, same fingerprint.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from features.attribute_loading import Entities, load_attributes
from features.consent_loading import load_consent
from features.dataset import DatasetConfig, FormatConfig
from features.errors import ConfigError, DataError
from features.event_loading import load_events
from features.events import AttributeTable, EventTable, Tables
from features.frames import Engine, Frame, Frames
from features.pseudonyms import Pseudonyms, pseudonyms_of
from features.reading import find_files, open_table, read_files
from features.served import load_served
from features.tombstones import TOMBSTONES, check_pseudonyms, read_tombstones, without_erased

FOLDERS_ABOVE = 4
"""How far above a table the marks of erased people are looked for: as deep as `export-log` lays its partitions."""


def load_tables(
    dataset: DatasetConfig,
    folder: Path,
    frames: Frames | None = None,
    engine: Engine = "pandas",
    events: EventTable | None = None,
) -> Tables:
    """Read, cast and sort everything that a dataset section names.

    Relative paths start at `folder`, the folder of the config file, else at the working directory. `frames`
    may hold "events", "users", "items" and "consent": pandas, Polars or PySpark frames, or DuckDB relations. They take
    the place of files, which `engine` reads. Rows of erased people are left out, on the marks that `dataset.erased`
    names or that lie beside the tables. `events` that were prepared are not read again. Raises `ConfigError` and
    `DataError`.
    """
    pseudonyms = pseudonyms_of(dataset.pseudonyms, folder)
    if events is None:
        events = load_events(dataset, open_events(dataset, folder, engine, frames), pseudonyms)
    users = _load_entities(dataset.users, "users", folder, frames, engine, pseudonyms)
    items = _load_entities(dataset.items, "items", folder, frames, engine)
    consent = load_consent(dataset, folder, frames, engine)
    tables = Tables(events, users, items, "", consent, load_served(dataset, folder, frames, engine))
    for path in tombstone_files(dataset, folder, frames):
        tombstones = read_tombstones(path)
        check_pseudonyms(tombstones, pseudonyms, path)
        tables = without_erased(tables, tombstones)
    if len(tables.events) == 0:
        raise DataError("every event belongs to somebody who was erased", field="dataset.events.path")
    return replace(tables, fingerprint=fingerprint(tables.events, tables.users, tables.items))


def open_events(dataset: DatasetConfig, folder: Path, engine: Engine, frames: Frames | None = None) -> Frame:
    """The table of events, not read yet. Raises `ConfigError` where none is named."""
    frame = open_table(dataset.events, "events", folder, engine, frames)
    if frame is None:
        raise ConfigError("no table of events is named", field="dataset.events.path", hint="Name a file or a glob.")
    return frame


def tombstone_files(dataset: DatasetConfig, folder: Path, frames: Frames | None = None) -> list[Path]:
    """The files of marks that hold for what `load_tables` reads, sorted. Raises `ConfigError`."""
    named = [] if dataset.erased is None else find_files(dataset.erased, folder, "dataset.erased")
    tables = {"events": dataset.events, "users": dataset.users, "items": dataset.items}
    paths = [table.path for name, table in tables.items() if name not in (frames or ())]
    paths += [column.path for part in (dataset.users, dataset.items) for column in part.columns.values()]
    files = [file for path in paths if path is not None for file in find_files(path, folder, "dataset")]
    places = {place for file in files for place in list(file.parents)[:FOLDERS_ABOVE]}
    return sorted({*named, *(place / TOMBSTONES for place in places if (place / TOMBSTONES).is_file())})


def _load_entities(
    config: Entities,
    name: str,
    folder: Path,
    frames: Frames | None,
    engine: Engine,
    pseudonyms: Pseudonyms | None = None,
) -> AttributeTable:
    frame = open_table(config, name, folder, engine, frames)
    return load_attributes(config, name, frame, open_changes(config, name, folder, engine), pseudonyms)


def open_changes(config: Entities, name: str, folder: Path, engine: Engine, numbered: bool = False) -> dict[str, Frame]:
    """The tables of those changing attributes that name a `path` of their own."""
    return {
        key: read_files(column.path, FormatConfig(), folder, engine, f"dataset.{name}.columns.{key}.path", numbered)
        for key, column in config.columns.items()
        if column.path is not None
    }


def fingerprint(events: EventTable, users: AttributeTable, items: AttributeTable) -> str:
    """SHA-256 over the canonical columns: equal for equal content, whatever file or engine it came from."""
    digest = hashlib.sha256()
    for name, part in (*_event_parts(events), *_table_parts("users", users), *_table_parts("items", items)):
        content = part.tobytes() if part.dtype != object else repr(part.tolist()).encode()
        digest.update(f"{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _event_parts(events: EventTable) -> Iterable[tuple[str, np.ndarray[Any, Any]]]:
    yield from (
        ("users", events.users),
        ("items", events.items),
        ("types", np.array(events.types, dtype=object)),
    )
    for name in ("user_codes", "item_codes", "type_codes", "moments", "values", "event_ids"):
        yield name, getattr(events, name)
    yield from events.contexts.items()
    yield from ((f"events.{name}", column) for name, column in events.details.items())
    if events.requests is not None:
        yield "events.requests", events.requests


def _table_parts(name: str, table: AttributeTable) -> Iterable[tuple[str, np.ndarray[Any, Any]]]:
    yield f"{name}.ids", table.ids
    for key, column in table.columns.items():
        yield f"{name}.{key}", column
    for key, changes in table.changes.items():
        yield f"{name}.{key}.ids", changes.entity_codes
        yield f"{name}.{key}.moments", changes.moments
        yield f"{name}.{key}.values", changes.values
    for key in ("titles", "available_from", "available_to"):
        if getattr(table, key) is not None:
            yield f"{name}.{key}", getattr(table, key)

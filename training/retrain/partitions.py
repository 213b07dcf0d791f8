"""The files that the tables of a configuration are made of, and which of them are whole.

A file that is still being written is left for the next time: a Parquet file without a readable footer, and, when the
config names a marker, any file in a folder without it. What was read is known by content, not by time: a file that was
touched, or copied anew, is not new.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from features.consenting import trainable
from features.dataset import DatasetConfig, TableConfig
from features.errors import ConfigError
from features.events import Tables
from features.frames import Frames
from features.reading import find_files, read_these
from features.tables import fingerprint, load_tables, tombstone_files
from features.tombstones import read_tombstones, without_erased
from training.whole_file import write_whole


class Partition(NamedTuple):
    """One file of a table."""

    table: str
    """"events", "users", "items", "served", "consent", "erased", or the dotted key of a changing attribute."""
    path: str
    sha256: str


@dataclass(frozen=True)
class Found:
    """What lies there."""

    whole: tuple[Partition, ...]
    left: tuple[str, ...]
    """Paths of files that are not whole yet."""


def find_partitions(dataset: DatasetConfig, folder: Path, marker: str | None, known: Path) -> Found:
    """All files of all tables; hashes of files that look as before are taken from the file `known`.

    Raises ConfigError when a path leads to no file, or a table has none that is whole.
    """
    before = _read_known(known)
    seen: dict[str, list[Any]] = {}
    whole, left = [], []
    for table, path, field in _paths(dataset):
        files = find_files(path, folder, field)
        ready = [file for file in files if _is_whole(file, marker)]
        left += [str(file) for file in files if file not in ready]
        if not ready:
            raise ConfigError(
                f"none of the {len(files)} files is whole yet",
                field=field,
                hint="Wait until they are written" + (f", and {marker} beside them." if marker else "."),
            )
        for file in ready:
            stat = file.stat()
            look = [stat.st_size, stat.st_mtime_ns]
            old = before.get(str(file), [None, None])
            seen[str(file)] = [look, old[1] if old[0] == look else _sha256(file)]
            whole.append(Partition(table, str(file), seen[str(file)][1]))
    whole += [Partition("erased", str(file), _sha256(file)) for file in tombstone_files(dataset, folder)]
    write_whole(known, json.dumps(seen))
    return Found(tuple(whole), tuple(left))


def load_partitions(dataset: DatasetConfig, folder: Path, partitions: tuple[Partition, ...]) -> Tables:
    """What exactly these files hold, without the rows of people who were erased or do not allow training.

    Marks of erased people are read anew, wherever they lie by now. Raises ConfigError and DataError.
    """
    tables = load_tables(dataset, folder, frames_of(dataset, partitions))
    for path in tombstone_files(dataset, folder):
        tables = without_erased(tables, read_tombstones(path))
    parts = (tables.events, tables.users, tables.items)
    return trainable(dataset, replace(tables, fingerprint=fingerprint(*parts)))


def frames_of(dataset: DatasetConfig, partitions: tuple[Partition, ...]) -> Frames:
    """The tables made of exactly these files; changing attributes with files of their own are read by the config."""
    found = {}
    for name, table in _tables(dataset):
        files = [Path(one.path) for one in partitions if one.table == name]
        if files:
            found[name] = read_these(files, table.format, "pandas", f"{_key(name)}.path").to_native()
    return found


def unchanged(partitions: tuple[Partition, ...], found: Found) -> bool:
    """Whether all these files still lie there as they were."""
    return set(partitions) <= set(found.whole)


def _paths(dataset: DatasetConfig) -> Iterator[tuple[str, str, str]]:
    """Name of the table, path or glob, and field of the config."""
    for name, table in _tables(dataset):
        if table.path is not None:
            yield name, table.path, f"{_key(name)}.path"
    for name, entities in (("users", dataset.users), ("items", dataset.items)):
        for key, column in entities.columns.items():
            if column.path is not None:
                yield f"{name}.columns.{key}", column.path, f"dataset.{name}.columns.{key}.path"


def _tables(dataset: DatasetConfig) -> Iterator[tuple[str, TableConfig]]:
    yield from (("events", dataset.events), ("users", dataset.users), ("items", dataset.items))
    if dataset.served is not None:
        yield "served", dataset.served
    if dataset.consent is not None and dataset.consent.table is not None:
        yield "consent", dataset.consent.table


def _key(name: str) -> str:
    return "dataset.consent.table" if name == "consent" else f"dataset.{name}"


def _is_whole(file: Path, marker: str | None) -> bool:
    if marker is not None and not (file.parent / marker).exists():
        return False
    if file.suffix.lower() not in (".parquet", ".pq"):
        return True
    try:
        pyarrow.parquet.read_metadata(file)
    except (pa.ArrowException, OSError):
        return False
    return True


def _read_known(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

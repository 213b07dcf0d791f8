"""Traces of a person in files beside the store: where their ids stand, and rows that are taken out of exported logs."""

import json
import mmap
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.tombstones import TOMBSTONES, Tombstones
from serving.state.unused_bytes import SHORTEST

PARQUET = (".parquet", ".pq")
STORES = tuple(f"{kind}{part}" for kind in (".db", ".sqlite", ".sqlite3") for part in ("", "-wal", "-shm"))
_WITHIN = rb"[0-9A-Za-z_-]"
"""What an id may go on with: `u1` does not stand in `u10`."""


def files_with(folder: Path, ids: Sequence[str]) -> list[Path]:
    """The files below a folder in which any of the ids stands, sorted; those of a store are left to the store."""
    return [path for path in _files_below(folder) if _stands_in(path, ids)]


def rows_with(folder: Path, ids: Sequence[str]) -> int:
    """How many rows of the Parquet files below a folder hold any of the ids in any column of texts."""
    return sum(_rows_of(path, ids) for path in _files_below(folder) if path.suffix in PARQUET)


def take_out(folder: Path, ids: Sequence[str], tombstones: Tombstones) -> int:
    """Write each Parquet file below a folder anew without the rows that hold any of the ids; how many rows went.

    Marks are left beside the tables, for a training must not read what an older copy brings back. A file is there
    whole at each moment; one of which nothing is left stays, without rows.
    """
    count = 0
    for path in _files_below(folder):
        if path.suffix in PARQUET and _rows_of(path, ids):
            table = pq.read_table(path, partitioning=None)
            kept = table.filter(pc.invert(_hits(table, ids)))
            count += table.num_rows - kept.num_rows
            unfinished = path.with_name(f".{path.name}.unfinished")
            pq.write_table(kept, unfinished)
            _replace(unfinished, path)
    for place in (folder, *(one for one in sorted(folder.iterdir()) if one.is_dir())):
        tombstones.write(place / TOMBSTONES)
    return count


def _replace(unfinished: Path, path: Path) -> None:
    """Put a file in the place of another, so that a power loss leaves one of them."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def _files_below(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place) / name for name in sorted(names) if (Path(place) / name).is_file())


def _stands_in(path: Path, ids: Sequence[str]) -> bool:
    if path.suffix in PARQUET:
        return _rows_of(path, ids) > 0
    texts = [one for one in ids if len(one) >= SHORTEST]
    if not texts or path.stat().st_size == 0 or _is_store(path):
        return False
    forms = {re.escape(form.encode()) for one in texts for form in (one, json.dumps(one)[1:-1])}
    pattern = b"(?<!%s)(?:%s)(?!%s)" % (_WITHIN, b"|".join(sorted(forms)), _WITHIN)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return re.search(pattern, content) is not None


def _is_store(path: Path) -> bool:
    """A store's own files are searched by the store: who closes such a file gives up the locks on it."""
    return path.name.endswith(STORES)


def _rows_of(path: Path, ids: Sequence[str]) -> int:
    columns = [field.name for field in pq.read_schema(path) if _holds_text(field.type)]
    table = pq.read_table(path, columns=columns, partitioning=None)
    return int(pc.sum(_hits(table, ids)).as_py() or 0)


def _hits(table: pa.Table, ids: Sequence[str]) -> pa.ChunkedArray | pa.Array:
    """bool [N]: whether any column of texts holds an id."""
    hits = pa.array([False] * table.num_rows, pa.bool_())
    for field in table.schema:
        if _holds_text(field.type):
            column = table[field.name].cast(pa.large_string())
            hits = pc.or_(hits, pc.fill_null(pc.is_in(column, pa.array(ids, pa.large_string())), False))
    return hits


def _holds_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))
    )

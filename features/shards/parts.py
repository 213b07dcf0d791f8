"""One part, written and read: what happens to the rows of a range of users is the same on every engine.

An engine only brings the rows together. Here they are decoded, ordered and coded by the code that loads small tables.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.columns import as_codes, as_values
from features.dataset import DatasetConfig
from features.event_details import DETAILS
from features.event_loading import decode_events
from features.events import EventTable, Strings
from features.shards.layout import Part

_FIELD = "dataset.events"
_COLUMNS = ("type_codes", "moments", "values", "event_ids")


def write_rows(dataset: DatasetConfig, rows: pa.Table, path: Path) -> Part:
    """Write the canonical rows of some users as a part. Raises `DataError` for what cannot be read."""
    return write_events(decode_events(dataset, rows), path)


def write_events(events: EventTable, path: Path) -> Part:
    """Write the file whole or not at all: a second try of an engine meets no half of the first."""
    columns: dict[str, Any] = {
        "user": _coded(events.users, events.user_codes),
        "item": _coded(events.items, events.item_codes),
        "type": pa.array(events.type_codes.astype(np.int16)),
        "moment": pa.array(events.moments),
        "value": pa.array(events.values),
        "id": pa.array(events.event_ids, pa.string()),
        **{f"context:{name}": pa.array(column) for name, column in events.contexts.items()},
        **{name: pa.array(column) for name, column in events.details.items()},
    }
    if events.requests is not None:
        columns["request"] = pa.array(events.requests, pa.string())
    return _write(pa.table(columns), path, len(events.types))


def _write(table: pa.Table, path: Path, types: int) -> Part:
    unfinished = path.with_name(f".{path.name}.unfinished")
    repeating = [name for name in table.column_names if name not in ("id", "moment")]
    pq.write_table(table, unfinished, compression="lz4", use_dictionary=repeating)
    unfinished.replace(path)
    counts = np.bincount(table["type"].to_numpy(), minlength=types)
    return Part(path.name, len(table["user"].unique()), table.num_rows, tuple(counts.tolist()))


def _coded(ids: Strings, codes: np.ndarray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(ids, pa.string()))


def without(path: Path, ids: set[str], types: int) -> Part:
    """The part again without the events of some ids."""
    table = _read(path)
    return _write(table.filter(pc.invert(pc.is_in(table["id"], pa.array(ids, pa.string())))), path, types)


def _read(path: Path) -> pa.Table:
    return pq.read_table(path, read_dictionary=["user", "item"])


def read_parts(dataset: DatasetConfig, paths: Sequence[Path]) -> EventTable:
    """The table of events that parts hold one after another: that which `load_events` makes of the same rows."""
    tables = [_part(dataset, path) for path in paths]
    items = np.array(sorted({item for table in tables for item in table.items.tolist()}), dtype=object)
    starts = np.cumsum([0, *(len(table.users) for table in tables)])
    user_codes = [table.user_codes + start for table, start in zip(tables, starts.tolist(), strict=False)]
    item_codes = [np.searchsorted(items, table.items).astype(np.int64)[table.item_codes] for table in tables]
    first, columns = tables[0], {name: _joined(tables, name) for name in _COLUMNS}
    columns["requests"] = None if first.requests is None else _joined(tables, "requests")
    return EventTable(
        users=_joined(tables, "users"),
        items=items,
        types=first.types,
        user_codes=np.concatenate(user_codes),
        item_codes=np.concatenate(item_codes),
        contexts={name: np.concatenate([table.contexts[name] for table in tables]) for name in first.contexts},
        details={name: np.concatenate([table.details[name] for table in tables]) for name in first.details},
        **columns,
    )


def _joined(tables: Sequence[EventTable], name: str) -> Any:
    return np.concatenate([getattr(table, name) for table in tables])


def _part(dataset: DatasetConfig, path: Path) -> EventTable:
    table, events = _read(path), dataset.events
    users, user_codes = as_codes(table["user"])
    items, item_codes = as_codes(table["item"])
    whole = EventTable(
        users=users,
        items=items,
        types=tuple(dataset.types),
        user_codes=user_codes,
        item_codes=item_codes,
        type_codes=table["type"].to_numpy().astype(np.int64),
        moments=table["moment"].to_numpy(),
        values=table["value"].to_numpy(),
        event_ids=_texts(table["id"]),
        contexts={
            name: as_values(table[f"context:{name}"], column.role, name, f"{_FIELD}.context.{name}")
            for name, column in events.context.items()
        },
        details={name: table[name].to_numpy() for name in DETAILS if getattr(events, name) is not None},
        requests=_texts(table["request"]) if events.request else None,
    )
    return whole.compact()


def _texts(column: pa.ChunkedArray) -> Strings:
    texts: Strings = column.to_numpy(zero_copy_only=False)
    return texts

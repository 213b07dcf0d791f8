"""The table of events, from a frame of any engine to sorted arrays.

narwhals selects and casts, one collect makes an Arrow table, and the rest is numpy on integer codes. The
order is always an explicit key and never that of rows: user id, moment, sequence, event id (where it is
given), and then every other column.
"""

from dataclasses import dataclass, replace

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.arrays import IntArray
from features.columns import (
    as_integers,
    as_moments,
    as_numbers,
    as_values,
    id_text,
    ids_as_codes,
    value_order,
)
from features.dataset import DatasetConfig
from features.errors import DataError
from features.event_details import DETAILS, Detail
from features.event_ids import event_id
from features.events import EventTable, Strings
from features.frames import Frame, collect, require_columns
from features.pseudonymising import pseudonymised
from features.pseudonyms import Pseudonyms

_FIELD = "dataset.events"


def load_events(dataset: DatasetConfig, frame: Frame, pseudonyms: Pseudonyms | None = None) -> EventTable:
    """Sorted events; of two events with one id the first in that order is kept. Raises `DataError`."""
    rows = collect(canonical_rows(dataset, frame), f"{_FIELD}.path")
    table = pseudonymised(rows, "user", dataset.events.user, f"{_FIELD}.user", pseudonyms)
    if table.num_rows == 0:
        raise DataError("the table of events is empty", field=f"{_FIELD}.path", hint="There is nothing to learn from.")
    events = decode_events(dataset, table)
    require_positive(dataset, np.bincount(events.type_codes, minlength=len(events.types)))
    return events


def require_positive(dataset: DatasetConfig, counts: IntArray) -> None:
    """Refuse events of which none is positive; counts int64 [types] of each type, in the order of the config."""
    found = [name for name, count in zip(dataset.types, counts.tolist(), strict=True) if count]
    if not any(dataset.types[name].sign == "positive" for name in found):
        raise DataError(
            f"no event is positive: the table holds only {', '.join(found)}",
            field=f"{_FIELD}.type",
            hint="Some events must be of a type with `sign: positive`; there is nothing to learn otherwise.",
        )


def event_columns(dataset: DatasetConfig) -> list[tuple[str, str | None]]:
    """Every column of the table that the config may name, as (config key, column or None)."""
    events, order = dataset.events, dataset.order
    named = [(f"events.{key}", getattr(events, key)) for key in ("user", "item", "type", "id", "value", "session")]
    named += [(f"events.{key}", getattr(events, key)) for key in (*DETAILS, "request")]
    named += [("order.time", order.time), ("order.sequence", order.sequence)]
    return [*named, *((f"events.context.{name}", name) for name in events.context)]


def canonical_rows(dataset: DatasetConfig, frame: Frame) -> Frame:
    """The columns under canonical names, nothing read yet: user, item, kind, id, value, time, sequence, `context:*`."""
    require_columns(frame, event_columns(dataset), "events")
    events, order = dataset.events, dataset.order
    ids = {"user": events.user, "item": events.item, "kind": events.type, "id": events.id}
    plain = {"value": events.value, "time": order.time, "sequence": order.sequence}
    plain |= {f"context:{name}": name for name in events.context}
    plain |= {name: getattr(events, name) for name in (*DETAILS, "request")}
    chosen = [
        id_text(frame, column, f"{_FIELD}.{'type' if name == 'kind' else name}").alias(name)
        for name, column in ids.items()
        if column is not None
    ]
    chosen += [nw.col(column).alias(name) for name, column in plain.items() if column is not None]
    return frame.select(chosen)


def decode_events(dataset: DatasetConfig, table: pa.Table) -> EventTable:
    """Sorted events of collected canonical rows, all of some users. Raises `DataError` for what cannot be read."""
    return _sorted(dataset, _decode(dataset, table))


@dataclass(frozen=True)
class _Columns:
    """Decoded columns in the order of the files, [N] each."""

    users: Strings
    user_codes: IntArray
    items: Strings
    item_codes: IntArray
    type_codes: IntArray
    moments: IntArray
    sequence: IntArray | None
    values: np.ndarray
    contexts: dict[str, Strings]
    ids: Strings | None
    id_codes: IntArray | None
    details: dict[Detail, np.ndarray]
    requests: Strings | None


def _decode(dataset: DatasetConfig, table: pa.Table) -> _Columns:
    events, order = dataset.events, dataset.order
    users, user_codes = ids_as_codes(table["user"], events.user, f"{_FIELD}.user")
    items, item_codes = ids_as_codes(table["item"], events.item, f"{_FIELD}.item")
    ids, id_codes = ids_as_codes(table["id"], events.id, f"{_FIELD}.id") if events.id else (None, None)
    times = as_moments(table["time"], order.time, "dataset.order.time") if order.time else None
    sequence = as_integers(table["sequence"], order.sequence, "dataset.order.sequence") if order.sequence else None
    moments = times if times is not None else sequence
    assert moments is not None
    values = as_numbers(table["value"], events.value, f"{_FIELD}.value") if events.value else None
    return _Columns(
        users=users,
        user_codes=user_codes,
        items=items,
        item_codes=item_codes,
        type_codes=_type_codes(dataset, table),
        moments=moments,
        sequence=sequence,
        values=np.full(table.num_rows, np.nan) if values is None else values,
        contexts={
            name: as_values(table[f"context:{name}"], column.role, name, f"{_FIELD}.context.{name}")
            for name, column in events.context.items()
        },
        ids=ids,
        id_codes=id_codes,
        details={
            name: as_numbers(table[name], str(getattr(events, name)), f"{_FIELD}.{name}")
            for name in DETAILS
            if getattr(events, name) is not None
        },
        requests=as_values(table["request"], "categorical", events.request, f"{_FIELD}.request")
        if events.request
        else None,
    )


def _type_codes(dataset: DatasetConfig, table: pa.Table) -> IntArray:
    """int64 [N] positions in `types`. Types that are not declared are refused."""
    declared = list(dataset.types)
    if dataset.events.type is None:
        return np.zeros(table.num_rows, dtype=np.int64)
    field = f"{_FIELD}.type"
    found, codes = ids_as_codes(table["kind"], dataset.events.type, field)
    counts = dict(zip(found, np.bincount(codes, minlength=len(found)).tolist(), strict=True))
    strange = [name for name in found if name not in dataset.types]
    if strange:
        raise DataError(
            f"{counts[strange[0]]} events have type {strange[0]!r}; `types` declares {', '.join(declared)}",
            field=field,
            hint=f"Declare `{strange[0]}` under `dataset.types`, or leave those rows out.",
        )
    return np.array([declared.index(name) for name in found], dtype=np.int64)[codes]


def _sorted(dataset: DatasetConfig, columns: _Columns) -> EventTable:
    order = _order(columns)
    types = tuple(dataset.types)
    table = EventTable(
        users=columns.users,
        items=columns.items,
        types=types,
        user_codes=columns.user_codes[order],
        item_codes=columns.item_codes[order],
        type_codes=columns.type_codes[order],
        moments=columns.moments[order],
        values=columns.values[order].astype(np.float32),
        event_ids=np.empty(0, dtype=object),
        contexts={name: column[order] for name, column in columns.contexts.items()},
        details={name: column[order] for name, column in columns.details.items()},
        requests=None if columns.requests is None else columns.requests[order],
        arrivals=None if columns.sequence is None or not dataset.timed else columns.sequence[order],
    )
    if columns.ids is None or columns.id_codes is None:
        return _with_ids(table, _derived_ids(table))
    codes = columns.id_codes[order]
    table = _with_ids(table, columns.ids[codes])
    _, firsts = np.unique(codes, return_index=True)
    return table if len(firsts) == len(codes) else table.where(np.isin(np.arange(len(codes)), firsts)).compact()


def _order(columns: _Columns) -> IntArray:
    """int64 [N]: by user, moment, and the keys of ties; these are looked at only where there is a tie."""
    order: IntArray = np.lexsort((columns.moments, columns.user_codes))
    users, moments = columns.user_codes[order], columns.moments[order]
    as_before = np.append(False, (users[1:] == users[:-1]) & (moments[1:] == moments[:-1]))
    tied = np.flatnonzero(as_before | np.append(as_before[1:], False))
    rows = order[tied]
    keys = [key[rows] for key in (columns.user_codes, columns.moments, *_tie_keys(columns))]
    order[tied] = rows[np.lexsort(keys[::-1])]
    return order


def _tie_keys(columns: _Columns) -> list[np.ndarray]:
    """What orders events of one user at one moment, the strongest first."""
    keys = [] if columns.sequence is None else [columns.sequence]
    keys += [] if columns.id_codes is None else [columns.id_codes]
    keys += [columns.item_codes, columns.type_codes, columns.values]
    keys += [value_order(column) for column in columns.contexts.values()]
    keys += list(columns.details.values())
    return keys if columns.requests is None else [*keys, value_order(columns.requests)]


def _with_ids(table: EventTable, ids: Strings) -> EventTable:
    return replace(table, event_ids=ids)


def _derived_ids(table: EventTable) -> Strings:
    """object [N]: hashes of user, item, type, moment, and the number among events equal in these."""
    ids = map(
        event_id,
        table.users[table.user_codes].tolist(),
        table.items[table.item_codes].tolist(),
        np.array(table.types, dtype=object)[table.type_codes].tolist(),
        table.moments.tolist(),
        _ordinals(table).tolist(),
    )
    return np.fromiter(ids, dtype=object, count=len(table))


def _ordinals(table: EventTable) -> IntArray:
    """int64 [N]: how many events before this one are equal in user, item, type and moment."""
    keys = (table.type_codes, table.item_codes, table.moments, table.user_codes)
    order = np.lexsort(keys)
    equal = np.ones(len(table), dtype=bool)
    for key in keys:
        equal[1:] &= key[order][1:] == key[order][:-1]
    equal[0] = False
    positions = np.arange(len(table))
    starts = np.maximum.accumulate(np.where(equal, 0, positions))
    ordinals = np.empty(len(table), dtype=np.int64)
    ordinals[order] = positions - starts
    return ordinals

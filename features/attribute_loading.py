"""Tables of users and items, from frames of any engine to one row per id, changing attributes beside.

A table may hold several rows per id, one per moment at which an attribute changed; what does not change is
then read from the newest row of each id.
"""

from collections.abc import Mapping

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.arrays import IntArray
from features.columns import as_codes, as_moments, as_values, id_text, ids_as_codes, value_order
from features.dataset import AttributeColumn, ItemsConfig, UsersConfig
from features.errors import ConfigError, DataError
from features.events import AttributeTable, Changes, Strings
from features.frames import Frame, collect, require_columns
from features.pseudonymising import pseudonymised
from features.pseudonyms import Pseudonyms

Entities = UsersConfig | ItemsConfig
_ALWAYS = int(np.iinfo(np.int64).min)
_FOREVER = int(np.iinfo(np.int64).max)


def load_attributes(
    config: Entities,
    name: str,
    frame: Frame | None,
    elsewhere: Mapping[str, Frame],
    pseudonyms: Pseudonyms | None = None,
) -> AttributeTable:
    """The table called `name` ("users" or "items"); `elsewhere` holds the tables of attributes with a `path`.

    `pseudonyms` take the place of its ids. Without any table it is empty. Raises `ConfigError` for attributes that no
    table holds, and `DataError`.
    """
    here = {key: column for key, column in config.columns.items() if key not in elsewhere}
    if frame is None and here:
        raise ConfigError(
            f"the columns {', '.join(here)} are declared, but there is no table of {name}",
            field=f"dataset.{name}.path",
            hint="Name the file, or leave the columns out.",
        )
    sources = {
        key: _select(config, name, source, change_columns(config, name, key), pseudonyms)
        for key, source in elsewhere.items()
    }
    table = None if frame is None else _collect(config, name, frame, pseudonyms)
    ids = _all_ids(config, name, table, sources)
    changes = {key: _changes(config, name, key, ids, source) for key, source in sources.items()}
    if table is None:
        return AttributeTable(ids=ids, columns={}, changes=changes)
    return _split(config, name, here, ids, table, changes)


def attribute_columns(config: Entities, name: str) -> list[tuple[str, str | None]]:
    """Every column of the main table that the config may name, as (config key, column or None)."""
    named: list[tuple[str, str | None]] = [(f"{name}.id", config.id)]
    for key, column in config.columns.items():
        if column.path is None:
            named += [(f"{name}.columns.{key}", key), (f"{name}.columns.{key}.time", column.time)]
    if isinstance(config, ItemsConfig):
        bounds = config.available
        named += [(f"{name}.title", config.title)]
        named += [(f"{name}.available.from", bounds.from_), (f"{name}.available.to", bounds.to)]
    return named


def change_columns(config: Entities, name: str, key: str) -> list[tuple[str, str | None]]:
    """The columns of the table of one changing attribute, as (config key, column or None)."""
    where = f"{name}.columns.{key}"
    return [(f"{name}.id", config.id), (where, key), (f"{where}.time", config.columns[key].time)]


def _collect(config: Entities, name: str, frame: Frame, pseudonyms: Pseudonyms | None) -> pa.Table:
    table = _select(config, name, frame, attribute_columns(config, name), pseudonyms)
    if table.num_rows == 0:
        raise DataError(
            f"the table of {name} is empty",
            field=f"dataset.{name}.path",
            hint="Leave the section out, or fill it.",
        )
    return table


def _select(
    config: Entities, name: str, frame: Frame, named: list[tuple[str, str | None]], pseudonyms: Pseudonyms | None
) -> pa.Table:
    """The columns as `id` and `column.<its name>`."""
    require_columns(frame, named, name)
    columns = sorted({column for _, column in named[1:] if column is not None})
    chosen = [nw.col(column).alias(f"column.{column}") for column in columns]
    identity = id_text(frame, config.id, f"dataset.{name}.id").alias("id")
    table = collect(frame.select(identity, *chosen), f"dataset.{name}.path")
    return pseudonymised(table, "id", config.id, f"dataset.{name}.id", pseudonyms)


def _all_ids(config: Entities, name: str, table: pa.Table | None, sources: Mapping[str, pa.Table]) -> Strings:
    """Sorted ids of every table."""
    tables = [one for one in (table, *sources.values()) if one is not None]
    found = {one for each in tables for one in ids_as_codes(each["id"], config.id, f"dataset.{name}.id")[0]}
    return np.array(sorted(found), dtype=object)


def _codes(ids: Strings, table: pa.Table) -> IntArray:
    """int64 [N]: the row of each id in the sorted ids."""
    found, codes = as_codes(table["id"])
    return np.searchsorted(ids, found).astype(np.int64)[codes]


def _changes(config: Entities, name: str, key: str, ids: Strings, table: pa.Table) -> Changes:
    """An attribute's changes sorted by (id, moment, value)."""
    column = config.columns[key]
    field = f"dataset.{name}.columns.{key}"
    entities = _codes(ids, table)
    moments = as_moments(table[f"column.{column.time}"], str(column.time), f"{field}.time")
    values = as_values(table[f"column.{key}"], column.role, key, field)
    order = np.lexsort((value_order(values), moments, entities))
    return Changes(entities[order], moments[order], values[order])


def _split(
    config: Entities,
    name: str,
    here: Mapping[str, AttributeColumn],
    ids: Strings,
    table: pa.Table,
    changes: dict[str, Changes],
) -> AttributeTable:
    """Static columns, one row per id, and the changes that stand in the same table."""
    changing = {key: column for key, column in here.items() if column.time is not None}
    changes |= {key: _changes(config, name, key, ids, table) for key in changing}
    rows = _newest_rows(config, name, ids, table, [str(column.time) for column in changing.values()])
    columns = {}
    for key, column in here.items():
        if column.time is None:
            field = f"dataset.{name}.columns.{key}"
            columns[key] = _spread(as_values(table[f"column.{key}"], column.role, key, field), rows)
    if not isinstance(config, ItemsConfig):
        return AttributeTable(ids=ids, columns=columns, changes=changes)
    title = config.title
    return AttributeTable(
        ids=ids,
        columns=columns,
        changes=changes,
        titles=_spread(as_values(table[f"column.{title}"], "text", title, f"dataset.{name}.title"), rows)
        if title
        else None,
        available_from=_availability(table, rows, config.available.from_, "from", _ALWAYS),
        available_to=_availability(table, rows, config.available.to, "to", _FOREVER),
    )


def _newest_rows(config: Entities, name: str, ids: Strings, table: pa.Table, times: list[str]) -> IntArray:
    """int64 [M]: the newest row of each id, -1 for ids of other tables only."""
    entities = _codes(ids, table)
    moments = [as_moments(table[f"column.{time}"], time, f"dataset.{name}.columns") for time in dict.fromkeys(times)]
    if not moments:
        _refuse_repeats(config, name, ids, entities)
    order = np.lexsort((*reversed(moments), entities))
    rows = np.full(len(ids), -1, dtype=np.int64)
    rows[entities[order]] = order
    return rows


def _refuse_repeats(config: Entities, name: str, ids: Strings, entities: IntArray) -> None:
    counts = np.bincount(entities, minlength=len(ids))
    if (counts > 1).any():
        example = f", for example {ids[counts.argmax()]!r}" if name == "items" else ""
        raise DataError(
            f"{int((counts > 1).sum())} ids stand in several rows of column {config.id!r}{example}",
            field=f"dataset.{name}.id",
            hint="Keep one row per id; an attribute that changes needs `time:` instead of `static: true`.",
        )


def _spread(values: Strings, rows: IntArray) -> Strings:
    """object [M]: the values of rows, None for row -1."""
    taken = values[rows]
    taken[rows < 0] = None
    return taken


def _availability(table: pa.Table, rows: IntArray, column: str | None, key: str, unbounded: int) -> IntArray | None:
    if column is None:
        return None
    moments = as_moments(table[f"column.{column}"], column, f"dataset.items.available.{key}", missing=unbounded)
    return np.where(rows < 0, unbounded, moments[rows])

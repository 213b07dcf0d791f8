"""Rules about ids and behaviour: who did what, and whether it can be true.

To add a rule, write a function from `Inspection` to suspects or remarks, and enter it in
`features.checks.RULES`.
"""

from collections.abc import Iterator, Sequence

import narwhals as nw

from features.columns import looks_like_float
from features.frames import FILE, ROW, Frame, collect
from features.inspection import Inspection, Remark, Suspects, number_of

_COUNT = "__count"
ROBOT_EVENTS = 1_000
"""No user with fewer events is called a robot."""
ROBOT_TIMES_MEAN = 20
"""A robot has this many times the events of the mean user."""


def missing_columns(tables: Inspection) -> Iterator[Remark]:
    """A column that the config names does not exist."""
    for table in tables.tables:
        existing = ", ".join(name for name in tables.schema(table) if name not in (FILE, ROW))
        for key, column in tables.named(table):
            if not tables.has(table, column):
                yield Remark(table, column, None, f"`{key}` names a column that does not exist; there are {existing}")


def empty_tables(tables: Inspection) -> Iterator[Remark]:
    """A table without rows."""
    for table, frame in tables.tables.items():
        if number_of(frame) == 0:
            yield Remark(table, None, None, "the table has no rows")


def float_ids(tables: Inspection) -> Iterator[Suspects]:
    """Ids that are floats, or text such as 1.0 that once was one."""
    message = "ids must be text or whole numbers: drop rows without an id, then cast to int64 or text"
    for table, column in tables.ids():
        frame, dtype = tables.tables[table], tables.schema(table)[column]
        if dtype.is_float():
            yield Suspects(table, column, frame.filter(~nw.col(column).is_null()), message)
        elif dtype == nw.String:
            first = collect(frame.filter(~nw.col(column).is_null()).select(column).head(1))[column].to_pylist()
            if first and looks_like_float(first[0]):
                distinct = collect(frame.select(column).unique())[column].drop_null().to_pylist()
                if all(looks_like_float(one) for one in distinct):
                    yield Suspects(table, column, frame.filter(~nw.col(column).is_null()), message)


def null_ids(tables: Inspection) -> Iterator[Suspects]:
    """Rows without an id or event type."""
    for table, column in tables.ids():
        rows = tables.tables[table].filter(nw.col(column).is_null())
        yield Suspects(table, column, rows, "rows without an id cannot be used: drop them or give them one")


def repeated_ids(tables: Inspection) -> Iterator[Suspects]:
    """Several rows for one user or item, although nothing in the table changes."""
    for table in ("users", "items"):
        changing = any(one.time and not one.path for one in tables.entities(table).columns.values())
        identity = tables.entities(table).id
        if not changing and tables.has(table, identity):
            rows = _repeats(tables.tables[table], [identity])
            yield Suspects(table, identity, rows, "one row per id: an attribute that changes needs `time:`")


def repeated_event_ids(tables: Inspection) -> Iterator[Suspects]:
    """Several events with one id."""
    column = tables.dataset.events.id
    if column is not None and tables.has("events", column):
        rows = _repeats(tables.tables["events"], [column])
        yield Suspects("events", column, rows, "events with an id that came before are loaded once only")


def repeated_events(tables: Inspection) -> Iterator[Suspects]:
    """Events equal in every named column, where they carry no id of their own."""
    dataset = tables.dataset
    if dataset.events.id is not None or "events" not in tables.tables:
        return
    schema = tables.schema("events")
    keys = [name for _, name in tables.named("events") if name in schema and _comparable(schema[name])]
    if dataset.events.item in keys:
        rows = _repeats(tables.tables["events"], list(dict.fromkeys(keys)))
        yield Suspects("events", dataset.events.item, rows, "the same event again; each repeat is kept as an event")


def _comparable(dtype: nw.dtypes.DType) -> bool:
    """Whether every engine can group by a column of this type."""
    return not dtype.is_nested() and dtype not in (nw.Unknown, nw.Object)


def _repeats(frame: Frame, keys: Sequence[str]) -> Frame:
    """Every row whose keys an earlier row has; missing keys are no repeat."""
    present = frame.filter(~nw.any_horizontal(*(nw.col(key).is_null() for key in keys[:1]), ignore_nulls=True))
    repeated = present.group_by(*keys).agg(nw.len().alias(_COUNT)).filter(nw.col(_COUNT) > 1)
    rows = present.select(*keys, FILE, ROW).join(repeated, on=list(keys), how="inner")
    ordinal = nw.col(_COUNT).cum_count().over(*keys, order_by=(FILE, ROW))
    rows = rows.sort(*keys, FILE, ROW)  # narwhals 2.29 scatters ordered windows wrongly over unsorted pandas rows
    return rows.with_columns(ordinal.alias(_COUNT)).filter(nw.col(_COUNT) > 1)


def unknown_entities(tables: Inspection) -> Iterator[Suspects]:
    """Events of users or items that their table does not hold."""
    events = tables.dataset.events
    for table, column in (("users", events.user), ("items", events.item)):
        identity = tables.entities(table).id
        if tables.has(table, identity) and tables.has("events", column):
            known = tables.tables[table].select(nw.col(identity).cast(nw.String).alias(_COUNT)).unique()
            texts = tables.tables["events"].select(column, FILE, ROW, nw.col(column).cast(nw.String).alias("__id"))
            rows = texts.filter(~nw.col(column).is_null()).join(known, left_on="__id", right_on=_COUNT, how="anti")
            yield Suspects("events", column, rows, f"the table of {table} has no such id; nothing is known of it")


def undeclared_types(tables: Inspection) -> Iterator[Suspects]:
    """Event types that the config does not name."""
    column = tables.dataset.events.type
    if column is not None and tables.has("events", column):
        text = nw.col(column).cast(nw.String)
        rows = tables.tables["events"].filter(~text.is_null(), ~text.is_in(list(tables.dataset.types)))
        yield Suspects("events", column, rows, "declare the type under `dataset.types`, or leave these rows out")


def unseen_types(tables: Inspection) -> Iterator[Remark]:
    """Declared event types that never occur."""
    for name in tables.dataset.types:
        if name not in (found := _types(tables)) and found:
            yield Remark("events", tables.dataset.events.type, name, "the type is declared, but no event has it")


def nothing_positive(tables: Inspection) -> Iterator[Remark]:
    """No event from which anything could be learned."""
    found = _types(tables)
    kinds = tables.dataset.types
    if found and not any(name in kinds and kinds[name].sign == "positive" for name in found):
        yield Remark("events", tables.dataset.events.type, None, "no event has a type with `sign: positive`")


def _types(tables: Inspection) -> set[str]:
    column = tables.dataset.events.type
    if column is None or not tables.has("events", column):
        return set()
    texts = tables.tables["events"].select(nw.col(column).cast(nw.String)).unique()
    return set(collect(texts)[column].drop_null().to_pylist())


def single_user(tables: Inspection) -> Iterator[Remark]:
    """One person teaches nothing about others."""
    column = tables.dataset.events.user
    if tables.has("events", column):
        distinct = tables.tables["events"].select(nw.col(column).n_unique().alias(_COUNT))
        if collect(distinct)[_COUNT][0].as_py() == 1:
            yield Remark("events", column, None, "all events are of one user; personal answers need many")


def robots(tables: Inspection) -> Iterator[Suspects]:
    """Users with far more events than anybody would do by hand."""
    column = tables.dataset.events.user
    if not tables.has("events", column):
        return
    firsts = (nw.len().alias(_COUNT), nw.col(ROW).min().alias(ROW), nw.col(FILE).min().alias(FILE))
    users = tables.tables["events"].filter(~nw.col(column).is_null()).group_by(column).agg(*firsts)
    means = collect(users.select(nw.col(_COUNT).mean().alias(_COUNT)))[_COUNT].to_pylist()
    limit = max(ROBOT_EVENTS, ROBOT_TIMES_MEAN * (means[0] or 0.0))
    message = f"users with more than {limit:,.0f} events may be programs; consider leaving them out"
    yield Suspects("events", column, users.filter(nw.col(_COUNT) > limit), message)

"""Rules about values: times, numbers, and attributes that cannot help or cannot be true.

Text is parsed once per distinct value, by the very functions that load it, so that a check and a load agree.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import narwhals as nw

from features.columns import LAST_SECOND, parse_number, parse_time
from features.frames import Frame, collect
from features.inspection import Inspection, Remark, Suspects
from features.moments import SECOND

_NUMBER = "__number"
OUTLYING_DEVIATIONS = 20
"""Standard deviations from the mean beyond which a value is called an outlier."""
MANY_CATEGORIES = 100
"""A vocabulary of fewer categories is never too large."""
NEARLY_UNIQUE = 0.5
"""Distinct categories per row beyond which a category says little more than the row."""


def unreadable_times(tables: Inspection) -> Iterator[Suspects]:
    """Times that are missing or that no form explains."""
    message = "times are timestamps, RFC 3339 text, or seconds since the epoch (not milliseconds), UTC"
    for table, column, optional in tables.times():
        frame, dtype = tables.tables[table], tables.schema(table)[column]
        missing = nw.col(column).is_null() & nw.lit(not optional)
        if dtype == nw.String:
            bad = _unparseable(frame, column, parse_time)
            yield Suspects(table, column, frame.filter(missing | nw.col(column).is_in(bad)), message)
        elif dtype.is_numeric():
            far = (nw.col(column) > LAST_SECOND) | (nw.col(column) < -LAST_SECOND)
            yield Suspects(table, column, frame.filter(missing | far), message)
        elif isinstance(dtype, nw.Date | nw.Datetime):
            yield Suspects(table, column, frame.filter(missing), message)
        else:
            yield Suspects(table, column, frame, message)


def future_times(tables: Inspection) -> Iterator[Suspects]:
    """Events that have not happened yet."""
    column = tables.dataset.order.time
    if column is None or not tables.has("events", column):
        return
    frame, dtype = tables.tables["events"], tables.schema("events")[column]
    if not (dtype.is_numeric() or dtype == nw.String or isinstance(dtype, nw.Date | nw.Datetime)):
        return
    message = "an event cannot lie in the future: check the unit (seconds) and the time zone (UTC)"
    yield Suspects("events", column, frame.filter(_after(tables.now, column, frame, dtype)), message)


def _after(moment: int, column: str, frame: Frame, dtype: Any) -> nw.Expr:
    """Whether a readable time lies after a moment."""
    if dtype.is_numeric():
        return (nw.col(column) > moment / SECOND) & (nw.col(column) <= LAST_SECOND)
    if dtype == nw.String:
        return nw.col(column).is_in([text for text in _distinct(frame, column) if (parse_time(text) or 0) > moment])
    limit = datetime.fromtimestamp(moment / SECOND, UTC)
    if dtype == nw.Date:
        return nw.col(column) > limit.date()
    later: nw.Expr = nw.col(column) > (limit if dtype.time_zone else limit.replace(tzinfo=None))
    return later


def unreadable_numbers(tables: Inspection) -> Iterator[Suspects]:
    """Numbers that are none: other text, or infinite."""
    message = "numbers are finite and in decimal form; leave a missing one empty"
    for table, column in _numeric(tables):
        frame, dtype = tables.tables[table], tables.schema(table)[column]
        if dtype == nw.String:
            bad = _unparseable(frame, column, parse_number)
            yield Suspects(table, column, frame.filter(nw.col(column).is_in(bad)), message)
        elif dtype.is_float():
            yield Suspects(table, column, frame.filter(nw.col(column).abs() == float("inf")), message)
        elif not dtype.is_numeric() and dtype != nw.Boolean:
            yield Suspects(table, column, frame, message)


def negative_values(tables: Inspection) -> Iterator[Suspects]:
    """Ratings, seconds, amounts or attributes below zero."""
    message = "below zero: a return or a dislike is an event type of its own, with `sign: negative`"
    for table, column in _numeric(tables):
        numbers = _with_number(tables, table, column)
        yield Suspects(table, column, numbers.filter(nw.col(_NUMBER) < 0), message)


def outlying_values(tables: Inspection) -> Iterator[Suspects]:
    """Numbers very far from all others."""
    for table, column in _numeric(tables):
        numbers = _with_number(tables, table, column)
        number = nw.col(_NUMBER)
        moments = collect(numbers.select(number.mean().alias("mean"), number.std().alias("deviation")))
        mean, deviation = moments["mean"][0].as_py(), moments["deviation"][0].as_py()
        if deviation:
            reach = OUTLYING_DEVIATIONS * deviation
            message = f"further than {OUTLYING_DEVIATIONS} standard deviations from the mean of {mean:,.4g}"
            yield Suspects(table, column, numbers.filter((number - mean).abs() > reach), message)


def constant_columns(tables: Inspection) -> Iterator[Remark]:
    """Attributes and values that are the same in every row."""
    value = tables.dataset.events.value
    columns = [(one.table, one.column) for one in tables.attributes()]
    columns += [("events", str(value))] if tables.has("events", value) else []
    for table, column in columns:
        if not tables.schema(table)[column].is_nested():
            rows, distinct = _rows_and_distinct(tables, table, column)
            if rows > 1 and distinct <= 1:
                yield Remark(table, column, None, "every row has the same value, so that it says nothing")


def large_vocabularies(tables: Inspection) -> Iterator[Remark]:
    """Categories that are nearly as many as the rows, like an id or a free text."""
    for table, column, config in tables.attributes():
        if config.role == "categorical":
            rows, distinct = _rows_and_distinct(tables, table, column)
            if distinct > max(MANY_CATEGORIES, NEARLY_UNIQUE * rows):
                message = f"{distinct:,} categories in {rows:,} rows say little; is it an id or a text?"
                yield Remark(table, column, None, message, distinct)


def _numeric(tables: Inspection) -> Iterator[tuple[str, str]]:
    """(table, column) of the events' value and of every numeric attribute."""
    value = tables.dataset.events.value
    if value is not None and tables.has("events", value):
        yield "events", value
    for table, column, config in tables.attributes():
        if config.role == "numeric":
            yield table, column


def _with_number(tables: Inspection, table: str, column: str) -> Frame:
    """The rows whose column is a finite number, with that number."""
    frame, dtype = tables.tables[table], tables.schema(table)[column]
    if dtype == nw.String:
        bad = nw.col(column).is_in(_unparseable(frame, column, parse_number))
        number: nw.Expr = nw.when(~bad).then(nw.col(column)).cast(nw.Float64)
    elif dtype.is_numeric() or dtype == nw.Boolean:
        number = nw.col(column).cast(nw.Float64)
    else:
        return frame.with_columns(nw.lit(None, dtype=nw.Float64).alias(_NUMBER)).filter(nw.lit(False))
    numbers = frame.with_columns(number.alias(_NUMBER))
    return numbers.filter(~nw.col(_NUMBER).is_null(), nw.col(_NUMBER).is_finite())


def _rows_and_distinct(tables: Inspection, table: str, column: str) -> tuple[int, int]:
    """Rows of a table, and distinct values of a column other than a missing one."""
    frame = tables.tables[table]
    present = nw.col(column)
    counts = frame.filter(~present.is_null()).select(nw.len().alias("rows"), present.n_unique().alias("distinct"))
    row = collect(counts).to_pylist()[0]
    return row["rows"], row["distinct"] or 0


def _distinct(frame: Frame, column: str) -> list[Any]:
    texts = frame.select(column).filter(~nw.col(column).is_null()).unique()
    values: list[Any] = collect(texts)[column].to_pylist()
    return values


def _unparseable(frame: Frame, column: str, parse: Callable[[Any], Any]) -> list[Any]:
    return [text for text in _distinct(frame, column) if parse(text) is None]

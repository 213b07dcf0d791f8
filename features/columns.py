"""Columns of a collected table as numpy arrays: ids as codes, times as moments, values by role.

Every function takes an Arrow column [N] and refuses what it cannot read, naming the first bad row (from 1).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import IntArray
from features.dataset import Role
from features.encoders import is_missing
from features.errors import MASK, DataError
from features.events import Strings
from features.frames import Frame
from features.moments import SECOND, to_moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""
_WHOLE = re.compile(r"-?\d+")
_PRIVATE = ("dataset.users", "dataset.events.user", "dataset.events.context")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE_AS_FLOAT = re.compile(r"-?\d+(\.0*|(\.\d+)?[eE][+-]?\d+)")


def id_text(frame: Frame, column: str, field: str) -> nw.Expr:
    """The expression of an id column as text; whole numbers take their decimal form.

    Raises `DataError` for floats, which are exact only to 2^53 (or 2^24) and print as `1.0`.
    """
    dtype = frame.collect_schema()[column]
    if dtype.is_float():
        present = frame.filter(~nw.col(column).is_null()).select(column).head(1)
        values = present.collect(backend="pyarrow")[column].to_list()
        if values:
            raise _float_ids(column, values[0], field)
    if dtype.is_temporal() or dtype.is_nested() or dtype == nw.Boolean:
        raise DataError(
            f"ids must be text or whole numbers; column {column!r} is {dtype}",
            field=field,
            hint="Name the column that holds the id.",
        )
    return nw.col(column) if dtype == nw.String else nw.col(column).cast(nw.String)


def looks_like_float(text: str) -> bool:
    """Whether a text is a whole number that once was a float, such as 1.0 or 1e+06."""
    return _WHOLE_AS_FLOAT.fullmatch(text) is not None


def _float_ids(column: str, example: Any, field: str) -> DataError:
    return DataError(
        f"ids must be text or whole numbers; column {column!r} holds floats, for example {_shown(example, field)}",
        field=field,
        hint="Missing ids turn whole numbers into floats: drop those rows, then cast to int64 or text.",
    )


def as_codes(column: pa.ChunkedArray) -> tuple[Strings, IntArray]:
    """The distinct texts of a column in sorted order, and int64 [N] codes into them; -1 where missing."""
    encoded = _encoded(column)
    distinct = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(distinct, kind="stable")
    ranks = np.empty(len(distinct) + 1, dtype=np.int64)
    ranks[order] = np.arange(len(distinct))
    ranks[-1] = -1
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return distinct[order], ranks[codes]


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Texts as codes into those that occur, in any order."""
    if pa.types.is_dictionary(column.type):
        return column.combine_chunks()
    return column.cast(pa.large_string()).combine_chunks().dictionary_encode()


def ids_as_codes(column: pa.ChunkedArray, name: str, field: str) -> tuple[Strings, IntArray]:
    """Like `as_codes`, for ids: none may be missing, and text such as `1.0` is refused."""
    ids, codes = as_codes(column)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise DataError(
            f"{len(missing)} rows have no id in column {name!r}, the first is row {missing[0] + 1}",
            field=field,
            hint="Drop these rows, or give them an id.",
        )
    if len(ids) and all(looks_like_float(one) for one in ids):
        raise _float_ids(name, ids[0], field)
    return ids, codes


def as_moments(column: pa.ChunkedArray, name: str, field: str, missing: int | None = None) -> IntArray:
    """int64 [N] ms since the epoch of timestamps, dates, seconds, or RFC 3339 text (UTC without a zone).

    A missing time becomes `missing`, or is refused where that is None.
    """
    kind = column.type
    if missing is None and column.null_count:
        raise _bad_time(name, column.is_null().to_numpy(zero_copy_only=False).argmax(), None, field)
    if pa.types.is_temporal(kind) and not pa.types.is_time(kind) and not pa.types.is_duration(kind):
        stamps = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        stamps = _seconds(column, name, field)
    elif _is_text(kind) or pa.types.is_null(kind):
        stamps = pa.chunked_array([_parsed(column.cast(pa.large_string()), name, field)])
    else:
        raise _bad_time(name, 0, column[0].as_py(), field)
    moments: IntArray = stamps.fill_null(missing or 0).to_numpy().astype(np.int64)
    return moments


def _seconds(column: pa.ChunkedArray, name: str, field: str) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    far = pc.fill_null(pc.greater(pc.abs(column), LAST_SECOND), False).to_numpy(zero_copy_only=False)
    if far.any():
        raise _bad_time(name, far.argmax(), column[int(far.argmax())].as_py(), field)
    return pc.round(pc.multiply(column.cast(pa.float64()), float(SECOND))).cast(pa.int64())


def _parsed(column: pa.ChunkedArray, name: str, field: str) -> pa.Array:
    """Moments of text, parsed once per distinct value."""
    encoded = column.combine_chunks().dictionary_encode()
    moments: list[int] = []
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        moment = parse_time(text)
        if moment is None:
            row = pc.index(encoded.indices, code).as_py()
            raise _bad_time(name, row, text, field)
        moments.append(moment)
    return pa.array(moments, pa.int64()).take(encoded.indices)


def parse_time(text: Any) -> int | None:
    """The moment of RFC 3339 text or of whole seconds written as text; None when it is neither."""
    try:
        if isinstance(text, str) and _WHOLE.fullmatch(text) and len(text) != len("20261231"):
            return int(text) * SECOND if abs(int(text)) <= LAST_SECOND else None
        return to_moment(text)
    except (ValueError, OverflowError):
        return None


def _shown(value: Any, field: str) -> str:
    """A value as an error may show it: an id or attribute of a person is masked."""
    return MASK if field.startswith(_PRIVATE) else repr(value)


def _bad_time(name: str, row: int, value: Any, field: str) -> DataError:
    return DataError(
        f"row {row + 1} has {_shown(value, field)} in column {name!r}, which is no time",
        field=field,
        hint="Times are timestamps, RFC 3339 text, or seconds since the epoch (not milliseconds), UTC.",
    )


def as_integers(column: pa.ChunkedArray, name: str, field: str) -> IntArray:
    """int64 [N] of a sequence column; a missing or fractional number is refused."""
    numbers = as_numbers(column, name, field)
    bad = ~(np.isfinite(numbers) & (numbers == np.floor(numbers)))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"row {row + 1} has {column[row].as_py()!r} in column {name!r}, which is no whole number",
            field=field,
            hint="A sequence counts the events of a user, such as 0, 1, 2.",
        )
    if pa.types.is_integer(column.type):
        exact: IntArray = column.to_numpy().astype(np.int64)
        return exact
    return numbers.astype(np.int64)


def as_numbers(column: pa.ChunkedArray, name: str, field: str) -> np.ndarray:
    """float64 [N], NaN where missing; text that is no number is refused."""
    if _is_text(column.type):
        texts = column.to_pylist()
        numbers = [parse_number(text) for text in texts]
        for row, (text, number) in enumerate(zip(texts, numbers, strict=True)):
            if number is None:
                raise DataError(
                    f"row {row + 1} has {_shown(text, field)} in column {name!r}, which is no number",
                    field=field,
                    hint="Leave the field empty where the number is missing.",
                )
        return np.array(numbers, dtype=np.float64)
    try:
        cast: np.ndarray = column.cast(pa.float64()).fill_null(float("nan")).to_numpy()
        return cast
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f"column {name!r} is {column.type}, not numbers", field=field) from None


def parse_number(text: str | None) -> float | None:
    """The number that a text spells; NaN for a missing text, None when it is no number."""
    if text is None:
        return float("nan")
    return float(text) if _NUMBER.fullmatch(text) else None


def as_values(column: pa.ChunkedArray, role: Role, name: str, field: str) -> Strings:
    """object [N]: what the encoder of a role reads; None where missing.

    Numbers are floats, times are datetimes, categories are text, multi-categories text or lists.
    """
    match role:
        case "numeric":
            numbers = as_numbers(column, name, field)
            return _objects([None if number != number else number for number in numbers.tolist()])
        case "time" | "birth_date":
            empty = np.iinfo(np.int64).min
            moments = as_moments(column, name, field, missing=int(empty)).tolist()
            return _objects([None if at == empty else _EPOCH + timedelta(milliseconds=at) for at in moments])
        case "multi_categorical" if pa.types.is_nested(column.type):
            return _objects(column.to_pylist())
        case "categorical" | "multi_categorical" | "text" if _is_text(column.type):
            encoded = _encoded(column)
            codes: IntArray = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            return _objects([*encoded.dictionary.to_pylist(), None])[codes]
        case "categorical" | "multi_categorical" | "text":
            return _objects([None if is_missing(value) else _category(value) for value in column.to_pylist()])


def value_order(values: Strings) -> np.ndarray:
    """[N]: numbers that sort as the values do, missing ones first; numeric values by size, others as text."""
    try:
        texts = pa.array(values, pa.string())
    except pa.ArrowException:
        if any(isinstance(value, float) for value in values):
            return np.array([-np.inf if value is None else value for value in values], dtype=np.float64)
        texts = pa.array([None if value is None else str(value) for value in values], pa.string())
    return as_codes(pa.chunked_array([texts]))[1]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _category(value: Any) -> str:
    """Text of a category; a float that is a whole number takes its decimal form."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _objects(values: list[Any]) -> Strings:
    """A one-dimensional object array, also of lists."""
    return np.fromiter(values, dtype=object, count=len(values))

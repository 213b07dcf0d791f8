"""Moments in time, and the integer buckets through which the towers see them.

A moment is an int64: milliseconds since the epoch, UTC, where events have a time; else the mere sequence number.
Differences are taken here in int64, because float32 steps by 128 seconds at today's epoch.
"""

import re
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np

from features.arrays import IntArray

SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
YEAR = 365.25 * DAY
MAX_GAP_CODE = 32
"""Code of the longest gap: 2^31 seconds, 68 years."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?=[T ]|$)", re.ASCII)
_MIDNIGHT = "T00:00:00.000Z"


def gap_codes(queries: IntArray, keys: IntArray, limit: int = MAX_GAP_CODE) -> IntArray:
    """Bucket the time between each query and each key: int64 [..., Q] and [..., K] -> [..., Q, K].

    Code 1 + floor(log2(1 + seconds)), at most `limit` (the largest seen in training); a key after its query
    has code 1. Code 0 is left for what has no time.
    """
    seconds = np.maximum(queries[..., :, None] - keys[..., None, :], 0) // SECOND
    _, lengths = np.frexp(seconds + 1.0)  # of a whole number: its bits, which a float64 holds exactly up to 2^53
    codes: IntArray = np.minimum(lengths, min(limit, MAX_GAP_CODE)).astype(np.int64)
    return codes


def hour_of_day(moments: IntArray) -> IntArray:
    """Hour of the day in UTC, 0 to 23."""
    return np.mod(moments // HOUR, 24)


def day_of_week(moments: IntArray) -> IntArray:
    """Day of the week in UTC, 0 is Monday."""
    return (moments // DAY + 3) % 7


def to_moment(value: Any) -> int:
    """Milliseconds since the epoch of a datetime, date, RFC 3339 text, numpy datetime, or integer seconds.

    Raises ValueError when the value is none of these.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a time")
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[ms]").astype(np.int64))
    if isinstance(value, int | float | np.integer | np.floating):
        return round(float(value) * SECOND)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int(zoned.timestamp() // 1) * SECOND + zoned.microsecond // 1000
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()) * SECOND
    raise ValueError(f"{value!r} is not a time")


def to_text(moment: int) -> str:
    """RFC 3339 text of a moment in UTC, to the millisecond."""
    return datetime.fromtimestamp(moment / SECOND, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Written(NamedTuple):
    """A date or a time as people write it."""

    text: str
    """`1990-05-01` of a date, and of a time that is a midnight; else RFC 3339 text in UTC."""
    moment: int | None
    """Milliseconds since the epoch; None of what is no time."""


def written(value: Any, *, day: bool) -> Written:
    """A value of a column of times; with `day` one of dates, whose day stays that which the value itself names."""
    if day and isinstance(value, datetime | np.datetime64):
        value = str(np.datetime_as_string(value)) if isinstance(value, np.datetime64) else value.isoformat()
    found = _DAY.match(value) if day and isinstance(value, str) else None
    try:
        moment = to_moment(found.group() if found else value)
    except (ValueError, OverflowError):
        return Written(str(value), None)
    return Written(to_text(moment).removesuffix(_MIDNIGHT), moment)

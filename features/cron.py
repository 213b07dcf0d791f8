"""Cron expressions as cron means them: five fields, Sunday is 0 or 7, and the next moment that they name."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from features.moments import SECOND

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FARTHEST_DAYS = 1_500
"""As far as a moment is looked for: a 29th of February comes within four years, with few exceptions."""
_PART = re.compile(r"(?P<first>\*|\d{1,2}|[a-z]{3})(-(?P<last>\d{1,2}|[a-z]{3}))?(/(?P<step>[1-9]\d*))?")


def next_moment(expression: str, timezone: str, now: int) -> int | None:
    """The first moment after `now`, both in ms since the epoch; None when it is farther than four years.

    Hours that a clock change leaves out do not come. Raises ValueError for what is no expression or time zone.
    """
    minute, hour, day, month, weekday = expression.lower().split()
    minutes, hours = field_values(minute, 0, 59), field_values(hour, 0, 23)
    days, months, of_week = field_values(day, 1, 31), field_values(month, 1, 12, MONTHS), weekdays(weekday)
    zone, after = ZoneInfo(timezone), datetime.fromtimestamp(now / SECOND, UTC)
    for date in _dates(after.astimezone(zone)):
        if date.day not in days or date.month not in months or (date.weekday() + 1) % 7 not in of_week:
            continue
        times = (date.replace(hour=one, minute=other) for one in sorted(hours) for other in sorted(minutes))
        real = (time for time in times if time.astimezone(UTC).astimezone(zone).hour == time.hour)
        found = next((time for time in real if time.astimezone(UTC) > after), None)
        if found is not None:
            return round(found.timestamp() * SECOND)
    return None


def weekdays(field: str) -> set[int]:
    """The weekdays of a field, Sunday as 0. Raises ValueError."""
    try:
        return {day % 7 for day in field_values(field, 0, 7, DAYS)}
    except ValueError as error:
        raise ValueError(f"{error}, so {field!r} is no weekday") from None


def field_values(field: str, least: int, most: int, names: tuple[str, ...] = ()) -> set[int]:
    """The numbers of a field: `*`, `3`, `1-5`, `*/15`, `fri-mon`, and lists of these. Raises ValueError."""
    chosen: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not understood")
        step, first = int(match["step"] or 1), match["first"]
        low = least if first == "*" else _number(first, least, most, names)
        open_end = most if names != DAYS else 6
        alone = open_end if first == "*" or match["step"] else low
        high = _number(match["last"], least, most, names) if match["last"] else alone
        if high < low and names != DAYS:
            raise ValueError(f"{part!r} ends before it begins")
        high = high + 7 if high < low else high
        chosen |= set(range(low, high + 1, step))
    return chosen


def _number(text: str, least: int, most: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (1 if names == MONTHS else 0)
    if text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"{text!r} is none of {least} to {most}")


def _dates(start: datetime) -> Iterator[datetime]:
    """Midnight of each day from one on."""
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=number) for number in range(FARTHEST_DAYS))

"""Cron expressions as cron means them, for a scheduler that means something else.

APScheduler counts weekdays from Monday and wants day of month *and* weekday to hold; cron counts from Sunday and is
content with either. Weekdays are therefore handed over by name, and an expression that restricts both is refused.
"""

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from features.errors import ConfigError
from training.retrain.config import ScheduleConfig

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<first>\*|\d|[a-z]{3})(-(?P<last>\d|[a-z]{3}))?(/(?P<step>[1-9]\d*))?")


def trigger_of(schedule: ScheduleConfig) -> CronTrigger:
    """The moments of a schedule. Raises ConfigError for an expression that cannot be, or never comes."""
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(
            f"there is no time zone {schedule.timezone!r}", hint="Such as UTC or Europe/Warsaw."
        ) from None
    fields = schedule.cron.lower().split()
    if len(fields) != 5:
        raise _no_cron(schedule.cron, f"it has {len(fields)} fields, not 5")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise _no_cron(schedule.cron, "it names both a day of the month and a weekday, which programs read differently")
    try:
        trigger = CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=_weekdays(weekday), timezone=zone
        )
    except ValueError as error:
        raise _no_cron(schedule.cron, str(error)) from None
    if trigger.get_next_fire_time(None, datetime.now(zone)) is None:
        raise _no_cron(schedule.cron, "it never comes")
    return trigger


def _weekdays(field: str) -> str:
    """The weekdays of a crontab's field by name. Raises ValueError."""
    if field == "*":
        return field
    chosen: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no weekday")
        first, last = (0, 6) if match["first"] == "*" else (_day(match["first"]), _day(match["last"] or match["first"]))
        if match["step"] and not match["last"]:
            last = 6
        last = last + 7 if last < first else last
        chosen |= {day % 7 for day in range(first, last + 1, int(match["step"] or 1))}
    return ",".join(DAYS[day] for day in sorted(chosen))


def _day(text: str) -> int:
    if text in DAYS:
        return DAYS.index(text)
    if text.isdigit() and int(text) <= 7:
        return int(text)
    raise ValueError(f"{text!r} is no weekday")


def _no_cron(expression: str, why: str) -> ConfigError:
    return ConfigError(
        f"{expression!r} is no cron expression: {why}",
        field="schedule.cron",
        hint="Five fields: minute, hour, day of month, month, weekday; '0 3 * * *' is three o'clock each night.",
    )

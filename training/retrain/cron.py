"""Cron expressions as cron means them, for a scheduler that means something else.

APScheduler counts weekdays from Monday and wants day of month *and* weekday to hold; cron counts from Sunday and is
content with either. Weekdays are therefore handed over by name, and an expression that restricts both is refused.
"""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger

from features.cron import DAYS, weekdays
from features.errors import ConfigError
from training.retrain.config import ScheduleConfig


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
            minute=minute, hour=hour, day=day, month=month, day_of_week=_named(weekday), timezone=zone
        )
    except ValueError as error:
        raise _no_cron(schedule.cron, str(error)) from None
    if trigger.get_next_fire_time(None, datetime.now(zone)) is None:
        raise _no_cron(schedule.cron, "it never comes")
    return trigger


def _named(field: str) -> str:
    """The weekdays of a crontab's field by name. Raises ValueError."""
    return field if field == "*" else ",".join(DAYS[day] for day in sorted(weekdays(field)))


def _no_cron(expression: str, why: str) -> ConfigError:
    return ConfigError(
        f"{expression!r} is no cron expression: {why}",
        field="schedule.cron",
        hint="Five fields: minute, hour, day of month, month, weekday; '0 3 * * *' is three o'clock each night.",
    )

"""Cron expressions: the next moment is the one that the scheduler would take."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.cron import field_values, next_moment, weekdays
from features.moments import SECOND, to_moment, to_text
from training.retrain.config import ScheduleConfig
from training.retrain.cron import trigger_of

MINUTES = st.sampled_from(["*", "0", "5,50", "*/20", "10-12"])
HOURS = st.sampled_from(["*", "3", "*/6", "22-23"])
DAY_PAIRS = st.sampled_from(
    [("*", "*"), ("1", "*"), ("29", "*"), ("*", "sun"), ("*", "5-7"), ("*", "fri-mon"), ("*", "0")]
)
MONTHS = st.sampled_from(["*", "2", "jan,jul", "*/5"])


@given(
    MINUTES,
    HOURS,
    DAY_PAIRS,
    MONTHS,
    st.sampled_from(["UTC", "Asia/Tokyo"]),
    st.integers(1_704_000_000, 1_925_000_000),
)
def test_it_is_the_schedulers_next_moment(
    minute: str, hour: str, days: tuple[str, str], month: str, zone: str, seconds: int
) -> None:
    expression, now = f"{minute} {hour} {days[0]} {month} {days[1]}", datetime.fromtimestamp(seconds, UTC)
    trigger = trigger_of(ScheduleConfig(cron=expression, timezone=zone))
    moment = next_moment(expression, zone, seconds * SECOND - 1)
    assert moment is not None
    expected = trigger.get_next_fire_time(None, now)
    assert datetime.fromtimestamp(moment / SECOND, UTC) == expected.astimezone(UTC)


def test_a_clock_change_is_local_time_and_an_hour_that_is_not_there_does_not_come() -> None:
    before = to_moment("2026-03-28T12:00:00Z")
    moment = next_moment("30 3 * * *", "Europe/Warsaw", before)
    assert moment is not None
    assert to_text(moment) == "2026-03-29T01:30:00.000Z"
    left_out = next_moment("30 2 * * *", "Europe/Warsaw", before)
    assert left_out is not None
    local = datetime.fromtimestamp(left_out / SECOND, ZoneInfo("Europe/Warsaw"))
    assert local.isoformat() == "2026-03-30T02:30:00+02:00"


def test_what_never_comes_has_no_moment() -> None:
    assert next_moment("0 0 31 2 *", "UTC", 0) is None


@pytest.mark.parametrize(
    "expression", ["* * * *", "61 * * * *", "* * * * 8", "x * * * *", "5-3 * * * *", "* * last * *"]
)
def test_what_is_no_expression_is_told(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        next_moment(expression, "UTC", 0)


def test_fields_are_those_of_a_crontab() -> None:
    assert weekdays("fri-mon") == {5, 6, 0, 1}
    assert weekdays("7") == weekdays("sun") == {0}
    assert field_values("5/20", 0, 59) == {5, 25, 45}

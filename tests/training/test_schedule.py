"""Cron expressions mean what cron means; the scheduler remembers, leaves out what overlaps, and is alone."""

import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ConfigError
from serving.lifecycle.lock import only_one
from training.retrain import schedule as scheduling
from training.retrain.config import ScheduleConfig
from training.retrain.cron import trigger_of
from training.retrain.schedule import Schedule

SUNDAY = datetime(2026, 11, 22, 12, tzinfo=UTC)


def next_of(cron: str, after: datetime = SUNDAY) -> datetime:
    found: datetime = trigger_of(ScheduleConfig(cron=cron)).get_next_fire_time(None, after)
    return found


@given(st.integers(0, 59), st.integers(0, 23), st.sets(st.integers(0, 7), min_size=1))
def test_weekdays_count_from_sunday(minute: int, hour: int, days: set[int]) -> None:
    """Against a walk over the minutes of the days that follow."""
    found = next_of(f"{minute} {hour} * * {','.join(map(str, sorted(days)))}")
    wanted = {day % 7 for day in days}
    candidates = (SUNDAY.replace(hour=hour, minute=minute) + timedelta(days=ahead) for ahead in range(9))
    slow = next(one for one in candidates if one >= SUNDAY and (one.weekday() + 1) % 7 in wanted)
    assert found == slow


@pytest.mark.parametrize(
    ("field", "days"),
    [("1-5", {0, 1, 2, 3, 4}), ("sat-mon", {5, 6, 0}), ("5-1", {4, 5, 6, 0}), ("*/3", {6, 2, 5}), ("1/2", {0, 2, 4}),
     ("7", {6}), ("SUN", {6})],
)  # fmt: skip
def test_ranges_and_steps_of_weekdays(field: str, days: set[int]) -> None:
    moments, at = set(), SUNDAY
    for _ in range(14):
        at = next_of(f"0 3 * * {field}", at + timedelta(minutes=1))
        moments.add(at.weekday())
    assert moments == days


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cron": "0 3 * *"}, "it has 4 fields"),
        ({"cron": "61 3 * * *"}, "no cron expression"),
        ({"cron": "0 3 31 2 *"}, "it never comes"),
        ({"cron": "0 3 1 * 1"}, "both a day of the month and a weekday"),
        ({"cron": "0 3 * * 8"}, "no weekday"),
        ({"cron": "0 3 * * x"}, "no weekday"),
        ({"cron": "soon please or not at"}, "no cron expression"),
    ],
)
def test_an_expression_that_cannot_be_is_one_clear_error(change: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        trigger_of(ScheduleConfig.parse(change))
    assert error.value.field == "schedule.cron"


def test_an_unknown_time_zone_is_named() -> None:
    with pytest.raises(ConfigError, match="Mars"):
        trigger_of(ScheduleConfig(timezone="Mars/Olympus"))


def writing(path: Path, seconds: float = 0.0) -> list[str]:
    """A command that appends a line, and takes a while."""
    script = f"import time; open({str(path)!r}, 'a').write('called\\n'); time.sleep({seconds})"
    return [sys.executable, "-S", "-c", script]


def calls(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("called") if path.exists() else 0


def test_what_was_missed_is_known_after_a_restart(tmp_path: Path) -> None:
    schedule = Schedule(ScheduleConfig(), writing(tmp_path / "log"), tmp_path, lambda _: None)
    assert not schedule.missed(SUNDAY), "nothing is missed before the first moment"
    schedule._remember(SUNDAY)
    assert not schedule.missed(SUNDAY + timedelta(hours=14))
    again = Schedule(ScheduleConfig(), [], tmp_path, lambda _: None)
    assert again.missed(SUNDAY + timedelta(hours=16))
    assert not again.missed(SUNDAY - timedelta(days=1)), "a clock that was set back brings no call twice"


@pytest.mark.parametrize(("policy", "expected"), [("run", 1), ("skip", 0)])
def test_a_missed_call_is_made_once_or_not_at_all(tmp_path: Path, policy: str, expected: int) -> None:
    config = ScheduleConfig.parse({"misfire": policy})
    told: list[str] = []
    schedule = Schedule(config, writing(tmp_path / "log"), tmp_path, told.append)
    schedule._remember(datetime.now(UTC) - timedelta(days=3))
    stopped = threading.Event()
    stopped.set()
    schedule.run(stopped)
    assert calls(tmp_path / "log") == expected
    assert not schedule.missed(datetime.now(UTC))
    assert any("passed while nothing ran" in line for line in told)


def test_the_exit_status_of_a_call_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    schedule = Schedule(ScheduleConfig(), [sys.executable, "-S", "-c", "raise SystemExit(3)"], tmp_path, told.append)
    assert schedule.call() == 3
    assert told[0].endswith("exit status 3")


def test_two_schedulers_are_one_too_many(tmp_path: Path) -> None:
    with only_one(tmp_path / "schedule.lock") as ours:
        assert ours
        with pytest.raises(ConfigError, match="another scheduler"):
            Schedule(ScheduleConfig(), [], tmp_path, lambda _: None).run(threading.Event())


class Jumping(Schedule):
    """Its clock is off by `off` until it jumps to the right time."""

    off = timedelta(0)
    jumped = False

    def _now(self) -> datetime:
        now = super()._now()
        return now if self.jumped else now + self.off


def followed(schedule: Jumping, told: list[str], said: str) -> None:
    """Run a schedule whose clock jumps once it waits, until it says something."""
    stop = threading.Event()
    thread = threading.Thread(target=schedule.run, args=(stop,))
    thread.start()
    patience = time.monotonic() + 20
    while not any(said in line for line in told) and time.monotonic() < patience:
        schedule.jumped = any("next call" in line for line in told)
        time.sleep(0.01)
    stop.set()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert any(said in line for line in told), told


@pytest.mark.parametrize(("policy", "expected", "said"), [("run", 1, "exit status 0"), ("skip", 0, "unnoticed")])
def test_a_clock_that_jumps_over_moments_makes_one_call_or_none(
    tmp_path: Path, policy: str, expected: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a machine slept for five days: they are one late call, whatever the hour."""
    monkeypatch.setattr(scheduling, "LOOK_SECONDS", 0.05)
    told: list[str] = []
    schedule = Jumping(ScheduleConfig.parse({"misfire": policy}), writing(tmp_path / "log"), tmp_path, told.append)
    schedule.off = -timedelta(days=5)
    followed(schedule, told, said)
    assert calls(tmp_path / "log") == expected


def test_a_clock_that_was_years_ahead_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a machine asks for the time only after the scheduler began."""
    monkeypatch.setattr(scheduling, "LOOK_SECONDS", 0.05)
    told: list[str] = []
    schedule = Jumping(ScheduleConfig(cron="* * * * *"), writing(tmp_path / "log"), tmp_path, told.append)
    schedule.off = timedelta(days=9000)
    followed(schedule, told, "set back")
    first, then = (line.removeprefix("next call: ")[:16] for line in told if "next call" in line)
    assert int(first[:4]) > datetime.now(UTC).year + 20
    assert abs(datetime.fromisoformat(f"{then}Z") - datetime.now(UTC)) < timedelta(minutes=2)


def test_a_clock_that_was_set_back_a_little_calls_at_no_moment_twice(tmp_path: Path) -> None:
    """Also after a restart."""
    schedule = Schedule(ScheduleConfig(), [], tmp_path, lambda _: None)
    answered = SUNDAY.replace(hour=3)
    schedule._remember(answered)
    assert schedule._following(answered - timedelta(hours=1)) == answered + timedelta(days=1)
    stopped = threading.Event()
    stopped.set()
    restarted = Jumping(ScheduleConfig(), [], tmp_path, lambda _: None)
    restarted.off = answered - timedelta(hours=1) - datetime.now(UTC)
    restarted.run(stopped)
    assert Schedule(ScheduleConfig(), [], tmp_path, lambda _: None)._read() == answered


@pytest.mark.slow
def test_a_call_that_still_runs_is_not_overtaken(tmp_path: Path) -> None:
    told: list[str] = []
    schedule = Schedule(ScheduleConfig(), writing(tmp_path / "log", seconds=3.5), tmp_path, told.append)
    schedule._trigger = IntervalTrigger(seconds=1, timezone=UTC)
    stop = threading.Event()
    thread = threading.Thread(target=schedule.run, args=(stop,))
    thread.start()
    time.sleep(4)
    stop.set()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert calls(tmp_path / "log") <= 2
    assert any("still runs" in line for line in told)


@pytest.mark.slow
def test_jitter_delays_a_call_and_stopping_does_not_wait_for_it(tmp_path: Path) -> None:
    config = ScheduleConfig(jitter_seconds=3600)
    schedule = Schedule(config, writing(tmp_path / "log"), tmp_path, lambda _: None)
    schedule._trigger = IntervalTrigger(seconds=1, timezone=UTC)
    stop = threading.Event()
    thread = threading.Thread(target=schedule.run, args=(stop,))
    thread.start()
    time.sleep(2.5)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert calls(tmp_path / "log") == 0

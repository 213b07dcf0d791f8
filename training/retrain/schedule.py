"""`tailorbird schedule`: calls `tailorbird retrain` at the moments of a cron expression, on one machine.

Each call is a process of its own, so that memory is given back and a crash ends only itself. No call begins while one
runs. The newest moment that was answered is kept in a file: after a restart the scheduler knows what it missed.
"""

import json
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler

from features.errors import ConfigError
from serving.lifecycle.lock import only_one
from training.retrain.attempts import write_json
from training.retrain.config import ScheduleConfig
from training.retrain.cron import trigger_of

ANSWERED = "schedule.json"
LATE_SECONDS = 3600
"""Lateness, such as that of a machine that slept, after which a moment counts as missed while the scheduler ran."""

Tell = Callable[[str], None]


class Schedule:
    """A schedule with its memory."""

    def __init__(self, schedule: ScheduleConfig, command: Sequence[str], runs: Path, tell: Tell) -> None:
        """`command` is run at each moment. Raises ConfigError for an expression that cannot be."""
        self._schedule, self._command, self._runs, self._tell = schedule, list(command), runs, tell
        self._trigger = trigger_of(schedule)

    def run(self, stop: threading.Event) -> None:
        """Call until `stop` is set; a call that runs then is waited for. Raises ConfigError when another one runs."""
        self._runs.mkdir(parents=True, exist_ok=True)
        with only_one(self._runs / "schedule.lock") as ours:
            if not ours:
                raise ConfigError(
                    f"another scheduler holds {self._runs / 'schedule.lock'}",
                    field="--runs",
                    hint="One is enough: it goes on; or name other --runs.",
                )
            self._answer_missed()
            self._follow(stop)

    def missed(self, now: datetime) -> bool:
        """Whether a moment passed since the newest that was answered; not before the first."""
        before = self._read()
        if before is None or before > now:  # a clock that was set back: what lies ahead of it was answered
            return False
        following = self._trigger.get_next_fire_time(before, before)
        return following is not None and following <= now

    def call(self) -> int:
        """Run the command once, and remember that the moment was answered; its exit status."""
        self._remember(self._now())
        status = subprocess.run(self._command, check=False).returncode
        self._tell(f"{self._now():%Y-%m-%d %H:%M:%S %Z}: retrain ended with exit status {status}")
        return status

    def _answer_missed(self) -> None:
        now = self._now()
        missed = self.missed(now)
        if missed and self._schedule.misfire == "run":
            self._tell("a moment passed while nothing ran: calling now")
            self.call()
        else:
            if missed:
                self._tell("a moment passed while nothing ran: skipped")
            self._remember(now)

    def _follow(self, stop: threading.Event) -> None:
        late = LATE_SECONDS if self._schedule.misfire == "run" else 60 + self._schedule.jitter_seconds
        scheduler = BackgroundScheduler(timezone=self._zone)
        scheduler.add_job(
            lambda: self._jittered(stop), self._trigger, coalesce=True, max_instances=1, misfire_grace_time=late
        )
        scheduler.add_listener(
            lambda _: self._tell("the call before still runs: this moment is left out"), EVENT_JOB_MAX_INSTANCES
        )
        scheduler.start()
        following = self._trigger.get_next_fire_time(None, self._now())
        self._tell(f"next call: {following:%Y-%m-%d %H:%M %Z}")
        stop.wait()
        scheduler.shutdown(wait=True)

    def _jittered(self, stop: threading.Event) -> None:
        if not stop.wait(random.uniform(0, self._schedule.jitter_seconds)):
            self.call()

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._schedule.timezone)

    def _now(self) -> datetime:
        return datetime.now(self._zone)

    def _read(self) -> datetime | None:
        try:
            content = json.loads((self._runs / ANSWERED).read_text(encoding="utf-8"))
            return datetime.fromisoformat(content["answered"]).astimezone(self._zone)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, moment: datetime) -> None:
        write_json(self._runs / ANSWERED, {"answered": moment.isoformat()})


def run_schedule(schedule: ScheduleConfig, command: Sequence[str], runs: Path, tell: Tell) -> None:
    """Follow a schedule until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Schedule(schedule, command, runs, tell).run(stop)

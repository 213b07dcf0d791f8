"""`tailorbird schedule`: calls `tailorbird retrain` at the moments of a cron expression, on one machine.

Each call is a process of its own, so that memory is given back and a crash ends only itself. No call begins while one
runs. The newest moment that was answered is kept in a file: after a restart, or when the clock jumped, the scheduler
knows what it missed and what it need not answer again.
"""

import json
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler

from features.errors import ConfigError
from serving.lifecycle.lock import only_one
from training.retrain.attempts import write_json
from training.retrain.config import ScheduleConfig
from training.retrain.cron import trigger_of

ANSWERED = "schedule.json"
LOOK_SECONDS = 60.0
"""Between two looks at the clock: whoever waits for a moment of it does not notice that it jumped."""
SET_BACK = timedelta(days=1)
"""A clock that is further behind what was answered was wrong before: what it answered then counts for nothing."""

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
        if before is None or before > now:
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
            self._remember(self._answered_until(now))

    def _follow(self, stop: threading.Event) -> None:
        late = None if self._schedule.misfire == "run" else 60 + self._schedule.jitter_seconds
        scheduler = BackgroundScheduler(timezone=self._zone)
        seen = self._now()
        job = scheduler.add_job(
            lambda: self._jittered(stop),
            self._trigger,
            next_run_time=self._following(seen),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=late,
        )
        scheduler.add_listener(
            lambda _: self._tell("the call before still runs: this moment is left out"), EVENT_JOB_MAX_INSTANCES
        )
        scheduler.add_listener(lambda _: self._tell("a moment passed unnoticed: skipped"), EVENT_JOB_MISSED)
        scheduler.start()
        while not stop.wait(LOOK_SECONDS):
            before, seen = seen, self._now()
            if seen < before - timedelta(seconds=LOOK_SECONDS):
                self._tell("the clock was set back")
                job.modify(next_run_time=self._following(seen))
            else:
                scheduler.wakeup()
        scheduler.shutdown(wait=True)

    def _following(self, now: datetime) -> datetime:
        """The next moment to call at, which is told."""
        after = self._answered_until(now)
        following: datetime = self._trigger.get_next_fire_time(after, after)
        self._tell(f"next call: {following:%Y-%m-%d %H:%M %Z}")
        return following

    def _answered_until(self, now: datetime) -> datetime:
        """No moment until then is called at: it is past, or was answered before the clock was set back."""
        before = self._read()
        return before if before is not None and now < before <= now + SET_BACK else now

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

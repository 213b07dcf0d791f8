"""A bundle beside the live one that answers the same questions, whose answers nobody sees: they are compared.

The request's path only lays a question down, where there is room. A thread hands them over to a process at the lowest
priority, one after the other; nothing waits for either, and nothing of a person is stored or written.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import orjson

from features.errors import TailorbirdError
from serving.bulk.processes import ProcessError, WorkerProcess
from serving.metrics import SHADOW_ANSWERS, SHADOW_OVERLAP, SHADOW_SCORE_SHIFT, SHADOW_SECONDS
from serving.settings import ShadowConfig
from serving.shadow.comparing import Difference, Listed, Question, difference
from serving.shadow.report import WINDOW_SECONDS, Window, append_line

IDLE_SECONDS = 1.0
"""Longest wait for a question, so that a minute's line comes even when nobody asks."""

_LOG = logging.getLogger("bentoml.tailorbird")


class Asked(NamedTuple):
    """One question and the live answer to it."""

    live: str
    """Name of the bundle that answered."""
    question: Question
    answer: Listed


class Shadow:
    """One shadow bundle of one worker, from its opening until `stop`."""

    def __init__(
        self,
        bundle: Path,
        open_work: Callable[[], Callable[[Question | None], Listed | str]],
        config: ShadowConfig,
        clock: Callable[[], float] = time.time,
        window: float = WINDOW_SECONDS,
    ) -> None:
        """Begins to open the bundle in another process, by `open_work`, which takes as long as it takes.

        `clock` gives seconds since the epoch; `window` is what a line of the report tells of.
        """
        self.bundle = bundle
        self.name: str | None = None
        """Of the bundle, once it is open."""
        self.refusal: str | None = None
        """Why it does not answer, or no longer."""
        self._open_work = open_work
        self._report = None if config.report is None else Path(config.report)
        self._clock = clock
        self._seconds = window
        self._waiting: queue.Queue[Asked] = queue.Queue(config.max_waiting)
        self._window: Window | None = None
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._changing = threading.Lock()
        self._process: WorkerProcess | None = None
        self._thread = threading.Thread(target=self._run, name="tailorbird-shadow", daemon=True)
        self._thread.start()

    def offer(self, live: str, question: Question, answer: Listed) -> None:
        """Let the shadow answer a question too, if there is room; returns at once."""
        name = self.name
        if name is None or self.refusal is not None:
            return
        try:
            self._waiting.put_nowait(Asked(live, question, answer))
        except queue.Full:
            SHADOW_ANSWERS.labels(name, "dropped").inc()
            window = self._window
            if window is not None:
                window.outcomes["dropped"] += 1

    def stop(self) -> None:
        """End it and its process at once, whatever they do; what waits is forgotten. Does not wait for the thread."""
        with self._changing:
            self._stopping.set()
            if self._process is not None:
                self._process.kill()

    def join(self) -> None:
        """Wait until what `stop` ended is gone."""
        self._thread.join()

    def _run(self) -> None:
        try:
            process = self._begun()
            if process is None:
                return
            try:
                self._open(process)
                while not self._stopping.is_set():
                    self._step(process)
            finally:
                process.end()
                self._tell_window(self._clock())
        except TailorbirdError as error:
            self._refuse(str(error))
        except Exception as error:
            self._refuse(f"a shadow failed: {type(error).__name__}")

    def _begun(self) -> WorkerProcess | None:
        with self._changing:
            if not self._stopping.is_set():
                self._process = WorkerProcess(self._open_work)
            return self._process

    def _open(self, process: WorkerProcess) -> None:
        process.give(None)
        name = process.result()
        self._window = Window("", name, self._clock())
        self.name = name
        _LOG.info("bundle %s answers beside the live one, for nobody", name)

    def _refuse(self, reason: str) -> None:
        if not self._stopping.is_set():
            self.refusal = reason
            _LOG.error("shadow %s is refused: %s", self.bundle, reason)

    def _step(self, process: WorkerProcess) -> None:
        """One question, or a moment without any."""
        try:
            asked = self._waiting.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            asked = None
        self._turn(asked.live if asked else None)
        if asked is not None:
            self._compare(process, asked)

    def _compare(self, process: WorkerProcess, asked: Asked) -> None:
        try:
            process.give(asked.question)
            found = difference(asked.answer, process.result())
        except ProcessError as error:
            self._failed(error)
            if process.gone:
                raise
        except TailorbirdError as error:
            self._failed(error)
        else:
            self._tell(found)

    def _tell(self, found: Difference) -> None:
        name = str(self.name)
        SHADOW_ANSWERS.labels(name, "compared").inc()
        SHADOW_OVERLAP.labels(name).observe(found.overlap)
        if found.score_shift is not None:
            SHADOW_SCORE_SHIFT.labels(name).observe(abs(found.score_shift))
        SHADOW_SECONDS.labels(name, "live").observe(found.live_ms / 1000)
        SHADOW_SECONDS.labels(name, "shadow").observe(found.shadow_ms / 1000)
        if self._window is not None:
            self._window.add(found)

    def _failed(self, error: TailorbirdError) -> None:
        """Count it, and log what is new: a fault that comes with each question is told once."""
        SHADOW_ANSWERS.labels(str(self.name), "failed").inc()
        if self._window is not None:
            self._window.outcomes["failed"] += 1
        if error.code != self._trouble and not self._stopping.is_set():
            self._trouble = error.code
            kind = error.message if isinstance(error, ProcessError) else error.code
            _LOG.error("shadow %s could not answer: %s", self.name, kind)

    def _turn(self, live: str | None) -> None:
        """Begin another window when the present one is over, or another bundle went live."""
        window, now = self._window, self._clock()
        if window is None:
            return
        if not window.live:
            window.live = live or ""
        if 0 <= now - window.start < self._seconds and live in (None, window.live):
            return  # a clock that was set back ends the window too: else it would grow until the clock is there again
        self._tell_window(now)
        self._window = Window(live or window.live, window.shadow, now)

    def _tell_window(self, now: float) -> None:
        """Report the present window, if anything happened in it."""
        line = None if self._window is None else self._window.line(now)
        if line is not None:
            _LOG.info("shadow: %s", orjson.dumps(line).decode())
            self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        if self._report is None:
            return
        try:
            append_line(line, self._report)
        except OSError as error:
            _LOG.error("the shadow's report %s cannot be written: %s", self._report, type(error).__name__)

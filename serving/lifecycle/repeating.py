"""A thread that looks at something again and again until it is stopped; no error ends it.

It has the priority of those that answer: all of them share the interpreter's lock, and whoever hands it to a thread
that the system does not run waits for as long as that thread does.
"""

import logging
import threading
import traceback
from collections.abc import Callable

from features.errors import TailorbirdError

_LOG = logging.getLogger("bentoml.tailorbird")


class Repeating:
    """Calls `look`, waits, and calls it again."""

    def __init__(self, name: str, look: Callable[[], None], seconds: float, stop_seconds: float | None = None) -> None:
        """`seconds` lie between the end of one look and the next. At a stop, a look that can be broken off anywhere is
        waited for `stop_seconds`; None: until it ends."""
        self._name = name
        self._look = look
        self._seconds = seconds
        self._stop_seconds = stop_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tailorbird-{name}", daemon=True)
        self._trouble: str | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present look; returns once it has ended, or was waited for long enough."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(self._stop_seconds)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._look()
                self._tell(None)
            except TailorbirdError as error:
                self._tell(str(error))
            except Exception as error:
                self._tell(type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))

    def _tell(self, trouble: str | None, places: str = "") -> None:
        """Log what is new: the beginning of a trouble and its end, not each of its repetitions."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is None:
            _LOG.info("%s: works again", self._name)
        else:
            _LOG.error("%s: %s\n%s", self._name, trouble, places)

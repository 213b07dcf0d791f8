"""How often somebody may ask: a rate with a burst, counted in one worker's memory.

Each worker counts for itself, so that no request waits for another process: N workers answer up to N times the rate. A
share of one N-th would refuse callers who keep one connection, which ends in one worker.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

MOST_CALLERS = 10_000
"""Callers of whom a worker remembers when they came; whoever did not come for longest is forgotten."""


class Limits:
    """The generic cell rate algorithm (ITU-T I.371, a token bucket that keeps one number); used from one event loop."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait(self, caller: str, rate: float, burst: int) -> float:
        """Count a request of a caller: 0.0, or in how many seconds it would be taken.

        `rate` is in requests per second; `burst` of them may come at once. What is not taken is not counted.
        """
        now = self._clock()
        due = max(self._due.get(caller, now), now)
        early = due - now - (burst - 1) / rate
        if early > 1e-9:  # what floating point leaves of a difference that is none
            return early
        self._due[caller] = due + 1 / rate
        self._due.move_to_end(caller)
        if len(self._due) > MOST_CALLERS:
            self._due.popitem(last=False)
        return 0.0

"""A circuit breaker: after a failure of the store, those who ask are spared the wait for a while, then one tries again.

"Release It!" (Nygard, 2007), chapter 5.
"""

from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from features.errors import StateError

T = TypeVar("T")
PAUSE_SECONDS = 0.25
"""Between two tries while the store does not answer, so the longest delay until its return is seen."""


class Breaker:
    """Stands between several threads and one store."""

    def __init__(self, pause: float = PAUSE_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._next_try: float | None = None

    def call(self, ask: Callable[[], T]) -> T:
        """What `ask` returns. Raises its StateError, or one at once while the store is being left alone."""
        if self._next_try is not None:
            now = self._clock()
            if now < self._next_try:
                raise StateError("the store did not answer a moment ago", field="state", hint="Come again later.")
            self._next_try = now + self._pause  # the others go on without the store while this one tries
        try:
            answer = ask()
        except StateError:
            self._next_try = self._clock() + self._pause
            raise
        self._next_try = None
        return answer

"""Marks of erased ids, made here because a script has no keyed hash, and checked there.

The key is the store's own, settled once for good. It is read when a script says that it needs it, which scripts do as
soon as there is any mark; until then nobody pays for marks.
"""

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from features.errors import StateError
from features.tombstones import Marked, mark_of
from serving.state.redis.connections import Calls

KEY = "erasure_key"
ANOTHER_KEY = -2
"""What a script returns that changed nothing, because the marks were made with another key than the store's."""

CHANGED = -3
"""What a script returns that changed nothing, because what was decided in this process no longer holds."""
TRIES = 100


class Marks:
    """The marks of one store; safe to share between threads."""

    def __init__(self) -> None:
        self._key = ""

    def of(self, kind: Marked, outside_id: str) -> str:
        """The mark of an id, or nothing as long as no mark was needed."""
        return mark_of(self._key, kind, outside_id) if self._key else ""

    def of_somebody(self, anonymous: str, outside_id: str) -> str:
        """The mark of a user, or of a visitor when `anonymous` is "1"."""
        return self.of("visitor" if anonymous == "1" else "user", outside_id)

    def write(self, calls: Calls, script: str, arguments: Callable[[], Iterable[Any]]) -> Any:
        """What a script returns whose first argument is the key; `arguments` are those with marks.

        They are made again when they were made with another key, or of what is no longer so.
        """
        for _ in range(TRIES):
            answer = calls.write(script, self._key, *arguments())
            if answer not in (ANOTHER_KEY, CHANGED):
                return answer
            if answer == ANOTHER_KEY:
                self.settle(calls)
        raise StateError("the store did not answer: others write about the same people all the time", field="state")

    def settle(self, calls: Calls) -> str:
        """The key, made with the first erasure."""
        self._key = str(calls.ask(lambda client: client.hget("tb:settings", KEY)) or _made(calls))
        return self._key


def _made(calls: Calls) -> str:
    key = secrets.token_hex(32)

    def settle(client: Any) -> Any:
        client.hsetnx("tb:settings", KEY, key)
        return client.hget("tb:settings", KEY)

    return str(calls.ask(settle))

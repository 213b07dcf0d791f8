"""Events that were refused, kept behind one protocol until they can be stored or their person is erased.

Of what was sent only that is kept which an erasure finds again: see `serving.events.refused`.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from serving.state.protocol import Admit, everyone


class Refused(NamedTuple):
    """An event that was refused, and why."""

    content: Any
    """What was sent, as plain data that JSON can hold."""
    moment: int
    """When it happened as far as it says so, else when it was refused, in ms since the epoch."""
    message: str
    field: str | None = None
    """The field for which it was refused."""
    user_id: str | None = None
    """Whose event it is; at most one of this and `anonymous_id` is given, none when nobody can be told."""
    anonymous_id: str | None = None


class DeadLetter(NamedTuple):
    """A refused event that is kept."""

    number: int
    """From 1, growing, with gaps."""
    refused: Refused


class DeadLetters(Protocol):
    """The refused events of all people, each content once.

    They are their people's: a merge passes them on, an erasure removes them. Every method is atomic, may be called
    from any thread, and raises `StateError` when the store does not answer.
    """

    def keep(self, letters: Sequence[Refused], admit: Admit = everyone) -> int:
        """Keep what is not there yet; how many are new. Of whom `admit` refuses nothing is kept."""

    def after(self, number: int, limit: int) -> list[DeadLetter]:
        """The first `limit` with larger numbers, in order."""

    def drop(self, numbers: Collection[int]) -> int:
        """Remove some; how many were there."""

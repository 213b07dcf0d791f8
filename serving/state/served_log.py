"""The log of what was served, behind one protocol: every answer as it was given, for attribution and for training.

It is not what people saw (the frontend's exposure events are) nor what they did (the other events are).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from serving.state.protocol import Admit, everyone


class ServedItem(NamedTuple):
    """One item of an answer."""

    item_id: str
    score: float
    source: str | None
    """The candidate source that ranks it best."""


class ServedRow(NamedTuple):
    """One answer: whom it was for, what it held, and all that it was made from."""

    request_id: str
    user_id: str | None
    """As the request gave it; read back, the user whom the person is by now."""
    anonymous_id: str | None
    moment: int
    """When it was asked for, in ms since the epoch."""
    answered_for: int
    """The moment of the question, as in `features.moments`."""
    placement: str
    items: Sequence[ServedItem]
    """In the order in which they were given."""
    bundle: str
    policy: str
    """What put them in order: `ranker`, or `blend` where there was no time for it."""
    seen: int | None
    """A number that no event exceeds which the answer knew of; None when the store did not answer."""
    query: Mapping[str, Any]
    """What was asked beside that, as plain data: see `serving.events.served`."""
    propensity: float | None = None
    """How likely the policy was to give this very list; None while it always gives the same."""


class LoggedAnswer(NamedTuple):
    """An answer with its place in the log."""

    number: int
    """From 1, growing, with gaps."""
    row: ServedRow


class LogExport(NamedTuple):
    """A folder to which logs were exported: a copy that the store does not reach."""

    folder: str
    """Absolute path."""
    moment: int
    """When it was written last, in ms since the epoch."""
    events: int
    """Up to which number it holds the log of events."""
    served: int
    """Up to which number it holds this log."""


class ServedLog(Protocol):
    """The answers to all people in the order in which they were stored.

    They are their people's: a merge passes them on, an erasure removes them. Every method is atomic, may be called
    from any thread, and raises `StateError` when the store does not answer.
    """

    def add(self, rows: Sequence[ServedRow], admit: Admit = everyone) -> int:
        """Store rows in one transaction, each request once; how many are new.

        Of whom `admit` refuses nothing is stored; an answer to nobody is always.
        """

    def find(self, request_id: str, user_id: str | None, anonymous_id: str | None = None) -> ServedRow | None:
        """The answer to a request of this person, or of nobody; None when there is none, or it is somebody else's."""

    def after(self, number: int, limit: int) -> list[LoggedAnswer]:
        """The first `limit` answers with larger numbers, in order."""

    def newest(self) -> int:
        """A number that no answer exceeds by now; 0 in a log that never held one."""

    def note_export(self, export: LogExport) -> None:
        """Note that a folder holds a copy, in place of what was noted of it before."""

    def exports(self) -> list[LogExport]:
        """Every folder that was noted, sorted."""

"""The log of all events in the order in which they were stored, behind one protocol: what an export reads on from.

A number is never given twice and never comes late: whoever has read up to number n never meets a smaller one.
"""

from typing import NamedTuple, Protocol

from serving.state.protocol import StoredEvent


class LoggedEvent(NamedTuple):
    """An event with its place in the log."""

    number: int
    """From 1, with gaps where events were erased."""
    event: StoredEvent
    """Of the user whom its visitor has become by now, else of the visitor."""


class EventLog(Protocol):
    """The events of all people in one order.

    Every method is atomic, may be called from any thread, and raises `StateError` when the store does not answer.
    """

    def after(self, number: int, limit: int) -> list[LoggedEvent]:
        """The first `limit` events with larger numbers, in order. What was marked as exported may be gone from it."""

    def newest(self) -> int:
        """A number that no event exceeds by now; 0 in a store that never held one."""

    def exported(self) -> int:
        """Up to which number all events are in files that last; 0 before the first export."""

    def mark_exported(self, number: int) -> None:
        """Say so, once the files are safely written: a store may then let these events go from its log.

        They stay in the records of their people. A smaller number than before changes nothing.
        """

    def close(self) -> None:
        """Give back files and connections."""

"""The log of item changes behind one protocol: what was upserted or deleted, in one order that all workers share.

Only the newest change of each item is kept, since an upsert gives the whole item: a reader that was away meets
each changed item once, and the log never holds more rows than items that ever changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol


class ItemEdit(NamedTuple):
    """What shall become of one item."""

    item_id: str
    attributes: Mapping[str, Any] | None
    """The whole item as plain data that JSON can hold, by column of the item table: its attributes, its title, and
    from when to when it may be shown (RFC 3339 text). None deletes the item."""


class ItemChange(NamedTuple):
    """An edit that was stored."""

    number: int
    """Its place in the order of all changes, from 1; there are gaps where later changes took the place of earlier."""
    item_id: str
    kind: Literal["upsert", "delete"]
    attributes: Mapping[str, Any] | None
    """As in `ItemEdit`; None for a deleted item."""
    moment: int
    """When it was stored, in ms since the epoch."""


class ItemLog(Protocol):
    """An ordered log of item changes.

    Whoever has seen number n never meets a smaller number that is new to them. Every method is atomic, may be
    called from any thread, and raises `StateError` when the store does not answer.
    """

    @property
    def identity(self) -> str:
        """Names this log: numbers of another one mean something else."""

    def change(self, edits: Sequence[ItemEdit], moment: int) -> list[int]:
        """Store edits in their order in one transaction; the number of each, growing."""

    def after(self, number: int, limit: int) -> list[ItemChange]:
        """The first `limit` changes with larger numbers, in order."""

    def newest(self) -> int:
        """The largest number, 0 in an empty log; cheap enough to be asked 20 times a second."""

    def close(self) -> None:
        """Give back files and connections."""

"""What a store keeps of an erasure: a mark that refuses what is older, and a receipt of what was removed."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from features.tombstones import Tombstones

PSEUDONYMS = "pseudonyms"
"""The setting that holds the fingerprint of the key by which this store knows people; none where it knows their ids."""
RETRY_DAYS = 7
"""For so long an erased event is known by its id, so that a retry without a time does not come in as a new one."""


class Erasure(NamedTuple):
    """Rows that are gone, and whose copies outside the store's tables are to be looked for."""

    receipt_id: str
    """32 hex digits."""
    moment: int
    """Up to when nothing of the person may come back, ms since the epoch."""
    removed: Mapping[str, int]
    """Rows by kind."""
    user_ids: Sequence[str]
    """Every outside id that the person had, the one that was asked for among them."""
    anonymous_ids: Sequence[str]


class Receipt(NamedTuple):
    """The lasting record of an erasure; it holds no id."""

    receipt_id: str
    moment: int
    removed: Mapping[str, int]
    report: Mapping[str, Any] | None
    """What was done beyond the rows, as plain data; None while that is still to be done."""


class Scrubbed(NamedTuple):
    """What became of the bytes that removed rows left in a store's own files."""

    status: Literal["rewritten", "not_reached", "absent"]
    """absent: the store writes no files."""
    note: str | None = None


class Erasures(Protocol):
    """A store that forgets people for good. Every method is atomic and raises `StateError` as those of `State` do.

    An erased id is refused what is dated at or before the erasure: `append` answers "erased" for such events and for
    events whose own id was erased a few days ago at most, `declare` and `set_attributes` leave such statements and
    changes out. At a link the mark goes over to the other id, and what that one has from before is removed.
    """

    def erase(self, user_id: str | None, anonymous_id: str | None = None, *, moment: int) -> Erasure:
        """Remove a person with all their ids and leave their marks; a stranger gets marks too.

        One transaction, so that nothing that is written at the same time stays: it is removed, or it is refused.
        """

    def unfinished(self) -> list[Erasure]:
        """Erasures of which the report is yet to come, oldest first. Only these still hold ids."""

    def finish(self, receipt_id: str, report: Mapping[str, Any]) -> None:
        """Keep the report and forget the ids."""

    def receipts(self, user_id: str | None, anonymous_id: str | None = None) -> list[Receipt]:
        """The erasures of these ids, oldest first."""

    def tombstones(self) -> Tombstones:
        """The marks of all who were erased, with the key that makes them."""

    def scrub(self, ids: Sequence[str]) -> Scrubbed:
        """Overwrite what removed rows left in the store's own files; returns when it is done, or refused.

        Raises `StateError` when others hold it up, or when it takes too long.
        """

    def remnants(self, ids: Sequence[str]) -> dict[str, int] | None:
        """How often the ids stand in bytes that no row owns, by the file's name; nothing of a store without files.

        None: the files are a server's, and cannot be searched from here.
        """

    def setting(self, name: str) -> str | None:
        """The value that `settle` gave a name; None as long as nobody did."""

    def settle(self, name: str, value: str) -> str:
        """The value under a name, which whoever comes first gives for good."""

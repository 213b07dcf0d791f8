"""The audit log behind one protocol: who did what with a person's data, and what an operator changed. It only grows.

A person stands in it as a mark, made with a random key of their own, which their erasure destroys: from then on nobody
can tell whom an entry was about, nor which entries were about one person.
"""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

Ids: TypeAlias = tuple[str | None, str | None]
"""The user id and the anonymous id of one person, as a call gave them."""
ENTRIES_AT_ONCE = 10_000
"""Entries that are read in one go by whoever looks through all of them."""


@dataclass
class Deed:
    """One call as the audit log shall keep it: no id of a person may stand in any text of it."""

    action: str
    """What was done, such as `privacy_erase` or `keys_create`."""
    actor: str
    """Who did it: the id of an API key, or the account that ran a command."""
    moment: int
    """When, in ms since the epoch."""
    request_id: str | None = None
    """The answer, for calls over HTTP."""
    people: Sequence[Ids] = ()
    """Whom it was about; each of them gets an entry."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What else an auditor needs, as plain data that JSON can hold and that names nobody."""
    noted: bool = False
    """Whether the log has it."""


class Entry(NamedTuple):
    """One line of the audit log."""

    number: int
    """Its place in the log, from 1 without gaps."""
    moment: int
    actor: str
    action: str
    mark: bytes | None
    """Stands for the person; None when it was about nobody, or about somebody of whom nothing was known."""
    request_id: str | None
    detail: Mapping[str, Any]


class AuditLog(Protocol):
    """A log that can be added to and read, and nothing else.

    Every method is atomic, may be called from any thread, and raises `StateError` when the store does not answer.
    A deed that changes the store is noted by `State.audited` in the transaction of the change; any other by `note`.
    """

    def note(self, deed: Deed) -> None:
        """Add a deed, unless it was noted already; it then is."""

    def after(self, number: int, limit: int = ENTRIES_AT_ONCE) -> list[Entry]:
        """The first `limit` entries with larger numbers, in order."""

    def keys(self, user_id: str | None, anonymous_id: str | None = None) -> list[bytes]:
        """The keys of a person's marks: several after a merge, none for a stranger or after an erasure."""


def mark_of(key: bytes, number: int) -> bytes:
    """How the person of a key stands in the entry of a number: HMAC-SHA256, 32 bytes."""
    return hmac.digest(key, str(number).encode(), "sha256")


def entries_of(log: AuditLog, user_id: str | None, anonymous_id: str | None = None) -> Iterator[Entry]:
    """The entries about one person, oldest first. Looks through the whole log: no index could find a mark."""
    keys = log.keys(user_id, anonymous_id)
    number = 0
    while keys and (entries := log.after(number)):
        yield from (one for one in entries if one.mark in {mark_of(key, one.number) for key in keys})
        number = entries[-1].number

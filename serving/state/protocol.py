"""What is known of people, behind one protocol: every backend passes the same behaviour suite.

Ids are outside ids. A moment is an int64 as in `features.moments`. An anonymous id stands for its own person
until it is linked to a user; from then on it is that user.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from features.event_details import Detail
from features.person import RECENT_EVENTS, Person
from features.statements import Statement
from serving.state.audit_log import AuditLog, Deed

Outcome: TypeAlias = Literal["stored", "duplicate"]


class StoredEvent(NamedTuple):
    """One event of one person: exactly one of `user_id` and `anonymous_id` is given."""

    event_id: str
    """Unique in the whole store; a second event of the same id is a duplicate, whatever it holds."""
    item_id: str
    type: str
    moment: int
    user_id: str | None = None
    anonymous_id: str | None = None
    value: float | None = None
    context: Mapping[str, Any] | None = None
    """Plain data that JSON can hold."""
    request_id: str | None = None
    """The answer that led here."""
    details: Mapping[Detail, float] | None = None
    """What else was told: dwell, price, quantity, position."""


class UserAttributes(NamedTuple):
    """Attributes of one user that hold from one moment on."""

    user_id: str
    values: Mapping[str, Any]
    """Plain data that JSON can hold, by attribute name."""
    moment: int | None = None
    """From when the values hold; None for attributes that never change."""


class Loaded(NamedTuple):
    """What a bulk load did with its events."""

    stored: int
    duplicates: int


class State(Protocol):
    """A store of people.

    Every method is atomic, may be called from any thread, and raises `StateError` when the store does not
    answer. What one process commits, every other process on the store sees in its next read.
    """

    def audited(self, deed: Deed) -> "State":
        """The same store for one call: its first transaction that changes something notes the deed too."""

    @property
    def audit_log(self) -> AuditLog:
        """The audit log of this store."""

    def append(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Store events in one transaction, each once; an event older than others takes its place in time."""

    def person(
        self,
        user_id: str | None,
        anonymous_id: str | None = None,
        *,
        newest: int = RECENT_EVENTS,
        without: Collection[str] = (),
    ) -> Person:
        """The record of a user, of an anonymous visitor, or at a login of both pasts as one.

        Events are the `newest` ones; what was taken is always complete. Types in `without` (exposures, which
        nobody did) are left out of both.
        A stranger's record is empty. An anonymous id that was linked to another user adds nothing.
        """

    def known(self, event_ids: Collection[str]) -> set[str]:
        """Those of the event ids that are stored already."""

    def set_attributes(self, attributes: Iterable[UserAttributes]) -> int:
        """Set attributes, replacing what held from the same moment; the number of values."""

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        """Add statements of exactly one of a user and a visitor, in one transaction; how many."""

    def statements(self, user_id: str | None, anonymous_id: str | None = None) -> list[Statement]:
        """All that a person ever declared, oldest first; with both ids as `person` joins them."""

    def link(self, anonymous_id: str, user_id: str) -> bool:
        """Make an anonymous visitor this user, once and for all; False when it was so already.

        Raises `RequestError` when the anonymous id belongs to another user.
        """

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        """Everything that is held on a person, as plain data."""

    def erase(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, int]:
        """Remove a person with all their ids; how many rows of each kind. A stranger is fine."""

    def load(self, events: Iterable[StoredEvent], batch: int = 50_000) -> Loaded:
        """Append very many events, one transaction per batch; loading twice stores nothing twice."""

    def user_ids(self) -> Iterator[str]:
        """The ids of all users, sorted; read in parts, so that one who comes meanwhile may be among them or not."""

    def newest_event(self) -> int | None:
        """The largest moment of any event, exposures included; None in an empty store."""

    def check(self) -> None:
        """Raises `StateError` unless the store answers."""

    def losses(self) -> str:
        """What a crash or a power loss can take of what was acknowledged, in a few words for whoever runs the store."""

    def close(self) -> None:
        """Give back files and connections."""

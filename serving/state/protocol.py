"""What is known of people, behind one protocol: every backend passes the same behaviour suite.

Ids are outside ids. A moment is an int64 as in `features.moments`. An anonymous id stands for its own person
until it is linked to a user; from then on it is that user.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from features.event_details import Detail
from features.person import RECENT_EVENTS, Person
from features.statements import Statement
from serving.state.audit_log import AuditLog, Deed
from serving.state.erasures import Erasures
from serving.state.facts import Facts

if TYPE_CHECKING:  # both stand on what is defined here
    from serving.state.dead_letters import DeadLetters
    from serving.state.served_log import ServedLog

Outcome: TypeAlias = Literal["stored", "duplicate", "not_stored", "erased"]
"""An erased event is one that an erasure forbids to come back; one that is not stored is of somebody not admitted."""
Admit: TypeAlias = Callable[[Sequence[Statement]], bool]
"""Whether anything may be stored of a person, given all their statements; of a stranger there are none.

A backend asks it once per person within the write itself, so that no write slips past a withdrawal that came before:
SQLite inside the transaction, Redis on statements of which the script then checks that they are still all (optimistic,
as WATCH is), trying again when they are not. It is pure and may be called again. A person who is refused leaves no
trace: no event, no attribute, no id.
"""


def everyone(_statements: Sequence[Statement]) -> bool:
    """Admits whoever it is: for data whose consent was decided before."""
    return True


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


class UserStatement(NamedTuple):
    """What one user declared."""

    user_id: str
    statement: Statement


class Loaded(NamedTuple):
    """What a bulk load did with its events."""

    stored: int
    duplicates: int
    not_stored: int = 0
    """Events of people who were not admitted."""


class State(Erasures, Facts, Protocol):
    """A store of people.

    Every method is atomic, may be called from any thread, and raises `StateError` when the store does not
    answer. What one process commits, every other process on the store sees in its next read.
    """

    def audited(self, deed: Deed) -> "State":
        """The same store for one call: its first transaction that changes something notes the deed too."""

    @property
    def audit_log(self) -> AuditLog:
        """The audit log of this store."""

    @property
    def dead_letters(self) -> "DeadLetters":
        """The refused events that this store keeps."""

    @property
    def served_log(self) -> "ServedLog":
        """The log of what was served, in this store."""

    def append(self, events: Sequence[StoredEvent], admit: Admit = everyone) -> list[Outcome]:
        """Store events in one transaction, each once; an event older than others takes its place in time.

        Events of whom `admit` refuses are `not_stored`, also those that were stored before.
        """

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

    def user_of(self, anonymous_id: str) -> str | None:
        """The user who an anonymous visitor is by now; None for a mere visitor, and for a stranger."""

    def known(self, event_ids: Collection[str]) -> set[str]:
        """Those of the event ids that are stored already."""

    def set_attributes(self, attributes: Iterable[UserAttributes], admit: Admit = everyone) -> int:
        """Set attributes, replacing what held from the same moment; the number of values.

        Those of whom `admit` refuses are left out.
        """

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        """Add statements of exactly one of a user and a visitor, in one transaction; how many."""

    def statements(self, user_id: str | None, anonymous_id: str | None = None) -> list[Statement]:
        """All that a person ever declared, oldest first.

        With both ids what a link would make of them: both pasts, with what is settled at a merge in force
        (`features.joining.joined`).
        """

    def load_statements(self, statements: Iterable[UserStatement], batch: int = 50_000) -> int:
        """Add very many statements, one transaction per batch; how many are new: equal ones are not doubled."""

    def link(self, anonymous_id: str, user_id: str) -> bool:
        """Make an anonymous visitor this user, once and for all; False when it was so already.

        Of two answers of consent the stricter stands, and what was hidden stays so: `features.joining.settled` is
        declared with the merge, in one transaction.
        Raises `RequestError` when the anonymous id belongs to another user.
        """

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        """Everything that is held on a person, as plain data."""

    def load(self, events: Iterable[StoredEvent], batch: int = 50_000, admit: Admit = everyone) -> Loaded:
        """Append very many events, one transaction per batch; loading twice stores nothing twice."""

    def user_ids(self) -> Iterator[str]:
        """The ids of all users, sorted; read in parts, so that one who comes meanwhile may be among them or not."""

    def newest_event(self) -> int | None:
        """The largest moment of any event, exposures included; None in an empty store."""

    def written(self, ids: Sequence[str]) -> list[str]:
        """All forms in which ids may stand in this store's files and in what was exported or trained beside it."""

    def check(self) -> None:
        """Raises `StateError` unless the store answers."""

    def may_lose(self) -> str | None:
        """What a crash or a power loss can take of what was acknowledged, in a few words; None for nothing at all."""

    def close(self) -> None:
        """Give back files and connections."""

"""Single facts that a store holds of people: one event, one attribute, and what has been held long enough."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from serving.state.protocol import StoredEvent

Expiring: TypeAlias = Literal["events", "statements", "erased_events"]


class Facts(Protocol):
    """A store whose single facts can be looked at and removed.

    Every method is atomic and raises `StateError` as those of `State` do.
    """

    def history(self, user_id: str | None, anonymous_id: str | None = None, *, newest: int) -> list["StoredEvent"]:
        """The newest events of a person, exposures included, oldest first; with both ids as `person` joins them.

        Each is given under the ids that were asked for: a user's, if there is one.
        """

    def remove_event(self, user_id: str | None, anonymous_id: str | None, event_id: str, *, moment: int) -> bool:
        """Remove one event of a person and what was taken by it alone; False when it is none of theirs.

        For some days from the moment on, it is refused like an erased person's.
        """

    def forget_events(
        self, user_id: str | None, anonymous_id: str | None, keep: Collection[str], *, moment: int
    ) -> int:
        """Remove all events of a person but those of the types in `keep`, with what was taken by them alone; how many.

        Each is refused for some days, as one that was removed by itself.
        """

    def remove_attributes(self, user_id: str, names: Collection[str]) -> int:
        """Remove attributes of a user with all that they were before; how many values."""

    def expire(self, kind: Expiring, before: int, limit: int, types: Collection[str] = ()) -> int:
        """Remove in one transaction at most `limit` rows dated before a moment; how many.

        events: of these types, with what was taken by them alone; whoever has nothing left is forgotten, ids too.
        statements: those that a later one before the moment took the place of.
        erased_events: marks by which an erased event's retry is known.
        """

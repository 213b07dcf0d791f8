"""Single facts that a store holds of people: one event, one attribute, and what has been held long enough."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from features.statements import Statement
    from serving.state.protocol import StoredEvent

Expiring: TypeAlias = Literal["events", "statements", "erased_events", "served", "dead_letters"]
KeptFrom: TypeAlias = Callable[[Sequence["Statement"]], int | None]
"""From which moment on events of somebody are kept, given all their statements; None keeps all. Pure."""


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
        served, dead_letters: answers that were given, and refused events; people as with events.
        """

    def expire_unneeded(self, before: int, kept_from: KeptFrom, place: int, people: int) -> tuple[int, int | None]:
        """Of the next `people` behind a place, from 0, remove the events that are dated before what `kept_from` makes
        of their statements; as `expire`. How many events, and the place to go on from: None at the end.

        Nobody is looked at who has no event from before `before`, which `kept_from` never exceeds.
        """

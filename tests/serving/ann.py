"""Ann, who views numbered items as a user or as a visitor, and what a state says of her."""

from typing import Any

from features.person import Person
from serving.state.protocol import StoredEvent


def event(number: int, moment: int | None = None, **given: Any) -> StoredEvent:
    plain_event = StoredEvent(f"e{number}", f"i{number}", "view", number if moment is None else moment, "ann")
    return plain_event._replace(**given)


def visit(number: int, **given: Any) -> StoredEvent:
    return event(number, user_id=None, anonymous_id="cookie", **given)


def seen(person: Person) -> list[str]:
    return list(person.events.item_ids)


def taken(person: Person) -> dict[tuple[str, str], int]:
    assert person.taken is not None
    return {
        (item, kind): int(moment)
        for item, kind, moment in zip(person.taken.item_ids, person.taken.types, person.taken.moments, strict=True)
    }

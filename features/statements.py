"""What a person, or the company for them, has declared: consent to a purpose, a dislike, a strength.

Statements are never changed: a later one of the same kind and key takes the place of an earlier one, and the earlier
ones are their history.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

from features.moments import to_text

StatementKind: TypeAlias = Literal["consent", "preference"]
BEGINNING = 0
"""The moment of a statement that has none of its own: before all that a person says later."""


class Statement(NamedTuple):
    """One thing that was declared."""

    kind: StatementKind
    key: str
    """What it is about: a purpose of consent, or the name of a preference."""
    value: Any
    """Plain data that JSON can hold; None takes an earlier statement back."""
    moment: int
    """From when it holds, ms since the epoch."""
    source: str
    """Who says so: `person`, `company`, or the name of the table that it came with."""


def said_at(moment: int) -> str | None:
    """When something was said, as RFC 3339 text; None where nobody knows."""
    return None if moment == BEGINNING else to_text(moment)


def in_force(statements: Iterable[Statement], moment: int) -> dict[tuple[StatementKind, str], Statement]:
    """By kind and key the newest statement at or before a moment; of equal moments the last. Given in any order."""
    found: dict[tuple[StatementKind, str], Statement] = {}
    for one in statements:
        before = found.get((one.kind, one.key))
        if one.moment <= moment and (before is None or one.moment >= before.moment):
            found[one.kind, one.key] = one
    return {key: one for key, one in found.items() if one.value is not None}

"""Declared preferences: what a person likes, wants more or less of, never wants to see, and how personal lists may be.

A preference is a statement of kind "preference", one key for each target, so that of two on the same target the later
stands. `preferences_of` is the one function that reads them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from features.statements import Statement, in_force

Saying: TypeAlias = Literal["like", "dislike", "hide", "pin"]
"""like: more of this; of a category, an interest. dislike: less of this; a disliked item is not shown. hide: never show
this. pin: an interest that has a guaranteed share of each list; of categories only."""
STRENGTH = "strength"
MERGED = "merge: what was hidden stays hidden"
"""The source of a preference that two people get who turn out to be one."""


class Category(NamedTuple):
    """One value of an item attribute: a genre, a brand, a creator."""

    attribute: str
    value: str


Target: TypeAlias = str | Category
"""An item id, or a category."""


@dataclass(frozen=True)
class Preferences:
    """What a person declares, as of a moment; the empty record declares nothing."""

    hidden_items: frozenset[str] = frozenset()
    """Ids of items that are never shown: those hidden and those disliked."""
    hidden: frozenset[Category] = frozenset()
    """No item of these is ever shown."""
    liked_items: tuple[tuple[str, int], ...] = ()
    """Ids with the moment since when, oldest first."""
    counted: frozenset[str] = frozenset()
    """Ids of liked items that stand among the events of the record by now, and nowhere else in it."""
    interests: tuple[Category, ...] = ()
    """Liked and pinned categories, the newest first."""
    pinned: tuple[Category, ...] = ()
    """Those of the interests that have a guaranteed share, the newest first."""
    disliked: frozenset[Category] = frozenset()
    """Items of these stand further down."""
    strength: float = 1.0
    """How personal lists may be: 0 not at all, 1 fully."""

    @property
    def hiding(self) -> "Preferences":
        """Only what must not be shown: what binds an answer that is not personal."""
        return NONE if not (self.hidden_items or self.hidden) else Preferences(self.hidden_items, self.hidden)


NONE = Preferences()


class Declared(NamedTuple):
    """One preference as it was said."""

    target: Target | None
    """None for the strength."""
    value: Saying | float | None
    """None takes back what was said before."""
    until: int | None
    """First moment at which it no longer holds; None: for ever."""


def key_of(target: Target | None) -> str:
    """The key of the statements on a target; None for the strength."""
    if target is None:
        return STRENGTH
    return f"item:{target}" if isinstance(target, str) else f"category:{json.dumps([*target], ensure_ascii=False)}"


def target_of(key: str) -> Target | None:
    """The inverse of `key_of`."""
    if key == STRENGTH:
        return None
    kind, _, rest = key.partition(":")
    return rest if kind == "item" else Category(*json.loads(rest))


def is_preference(statement: Statement) -> bool:
    """Whether it is a preference of a kind that this version knows."""
    known = statement.key == STRENGTH or statement.key.startswith(("item:", "category:"))
    return statement.kind == "preference" and known


def declaration(declared: Declared, moment: int, source: str) -> Statement:
    """A preference as a statement that holds from a moment on."""
    value: Any = declared.value
    if value is not None and declared.target is not None:
        value = {"say": value, "until": declared.until}
    return Statement("preference", key_of(declared.target), value, moment, source)


def declared_in(statement: Statement) -> Declared:
    """The inverse of `declaration`."""
    value = statement.value
    if isinstance(value, dict):
        return Declared(target_of(statement.key), value["say"], value["until"])
    return Declared(target_of(statement.key), value, None)


def standing(statements: Iterable[Statement], known_until: int, now: int) -> list[tuple[Statement, Declared]]:
    """The preferences that hold, the oldest first: declared up to `known_until` and not run out `now`, both ms.

    The first may lie a little later than the second, so that what another machine's clock took counts here at once.
    """
    own = (one for one in statements if is_preference(one))
    pairs = [(one, declared_in(one)) for one in in_force(own, known_until).values()]
    return sorted((pair for pair in pairs if _holds(pair[1], now)), key=lambda pair: pair[0].moment)


def preferences_of(statements: Sequence[Statement], known_until: int, now: int) -> Preferences:
    """What one person's statements, in any order, come to; the moments are those of `standing`."""
    found = standing(statements, known_until, now)
    if not found:
        return NONE
    items = [(one.target, said.moment, one.value) for said, one in found if isinstance(one.target, str)]
    categories = [(one.target, one.value) for _, one in reversed(found) if isinstance(one.target, Category)]
    return Preferences(
        hidden_items=frozenset(item for item, _, value in items if value in ("hide", "dislike")),
        hidden=frozenset(category for category, value in categories if value == "hide"),
        liked_items=tuple((item, moment) for item, moment, value in items if value == "like"),
        interests=tuple(category for category, value in categories if value in ("like", "pin")),
        pinned=tuple(category for category, value in categories if value == "pin"),
        disliked=frozenset(category for category, value in categories if value == "dislike"),
        strength=next((float(one.value or 0.0) for _, one in found if one.target is None), 1.0),
    )


def kept_at_merge(user: Sequence[Statement], visitor: Sequence[Statement]) -> list[Statement]:
    """What a user and a visitor who turn out to be one must be taken to declare, beside all that they did.

    What one of them hid stays hidden, for the longer of two times; the user's own strength stays; of all else the later
    stands. A new statement has the newest moment of its key, and is in force once it comes after the others.
    """
    found = []
    sides = [[one for one in each if is_preference(one)] for each in (user, visitor)]
    for key in sorted({one.key for one in sides[0]} & {one.key for one in sides[1]}):
        both = [[one for one in each if one.key == key] for each in sides]
        last = max(one.moment for each in both for one in each)
        said = [_newest(each) for each in both]
        wanted = said[0] if key == STRENGTH else _longest_hide(said, last)
        if wanted is not None and wanted.value is not None:
            found.append(wanted._replace(moment=last, source=MERGED))
    return found


def _holds(declared: Declared, now: int) -> bool:
    return declared.until is None or declared.until > now


def _newest(statements: Sequence[Statement]) -> Statement:
    """Of equal moments the last."""
    return max(enumerate(statements), key=lambda pair: (pair[1].moment, pair[0]))[1]


def _longest_hide(said: Sequence[Statement], moment: int) -> Statement | None:
    """Of the newest statements on one target, the one that keeps it away longest from a moment on, if any does."""
    declared = [(one, declared_in(one)) for one in said]
    hides = [pair for pair in declared if pair[1].value in _keeping_away(pair[1]) and _holds(pair[1], moment)]
    longest = max(hides, key=lambda pair: float("inf") if pair[1].until is None else pair[1].until, default=None)
    return longest[0] if longest else None


def _keeping_away(declared: Declared) -> tuple[str, ...]:
    return ("hide", "dislike") if isinstance(declared.target, str) else ("hide",)

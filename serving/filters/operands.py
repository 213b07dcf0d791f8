"""What the conditions of a filter compare: constants, and the values of the item, the person and the request."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias

from features.moments import DAY, HOUR, SECOND

MINUTE = 60 * SECOND
UNITS = {"w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE}
"""Milliseconds of each unit of a duration, largest first."""
KEYWORDS = frozenset(
    ["and", "or", "not", "in", "is", "missing", "seen", "as", "within", "available", "at", "now", "user", "context"]
)
_WORD = re.compile(r"[^\W\d]\w*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """Where something stands in the text of a filter, both counted from 1."""

    line: int
    column: int


NOWHERE = Place(0, 0)


@dataclass(frozen=True)
class Node:
    """A part of a filter."""

    place: Place = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Text(Node):
    """A text, compared exactly."""

    value: str

    def __str__(self) -> str:
        return '"' + self.value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Number(Node):
    """A finite number."""

    value: float

    def __str__(self) -> str:
        return repr(self.value).removesuffix(".0")


@dataclass(frozen=True)
class Time(Node):
    """A moment, ms since the epoch."""

    value: int

    def __str__(self) -> str:
        return (_EPOCH + timedelta(milliseconds=self.value)).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Now(Node):
    """The moment of the request, moved by some ms."""

    shift: int = 0

    def __str__(self) -> str:
        return f"now {'+' if self.shift > 0 else '-'} {write_duration(abs(self.shift))}" if self.shift else "now"


@dataclass(frozen=True)
class ItemAttribute(Node):
    """The item's value of an attribute."""

    name: str

    def __str__(self) -> str:
        return write_name(self.name)


@dataclass(frozen=True)
class UserAttribute(Node):
    """The asking person's value of an attribute at the moment of the request."""

    name: str

    def __str__(self) -> str:
        return f"user.{write_name(self.name)}"


@dataclass(frozen=True)
class ContextValue(Node):
    """A circumstance of the request."""

    name: str

    def __str__(self) -> str:
        return f"context.{write_name(self.name)}"


Constant: TypeAlias = Text | Number | Time
Operand: TypeAlias = Constant | Now | ItemAttribute | UserAttribute | ContextValue


def write_duration(span: int) -> str:
    """A duration in the largest unit that divides it."""
    unit = next(name for name, size in UNITS.items() if span % size == 0)
    return f"{span // UNITS[unit]}{unit}"


def write_name(name: str) -> str:
    """The name of a column, in backticks unless it is one plain word."""
    return name if _WORD.fullmatch(name) and name not in KEYWORDS else f"`{name}`"

"""A filter as a tree of frozen values, and the one text that each tree is written as.

The text of a tree, read again, gives an equal tree; it names a bitmap in the cache. Places in the original
text serve errors alone and take no part in equality.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from serving.filters.operands import Constant, ItemAttribute, Node, Now, Operand, Text, Time, write_duration


@dataclass(frozen=True)
class Expression(Node):
    """What is true or false of an item; `text` is how it is written."""

    @cached_property
    def text(self) -> str:
        """The canonical text: equal for equal expressions."""
        return str(self)

    @property
    def parts(self) -> tuple["Expression", ...]:
        """The expressions that this one joins."""
        return ()

    @cached_property
    def depth(self) -> int:
        """How many expressions lie in each other here."""
        return 1 + max((part.depth for part in self.parts), default=0)

    @cached_property
    def conditions(self) -> int:
        """How many conditions are joined here."""
        return sum(part.conditions for part in self.parts) or 1

    @cached_property
    def settled(self) -> bool:
        """Whether it asks nothing of the person or the context, so that there is nothing to fold."""
        return all(part.settled for part in self.parts)

    @cached_property
    def reads_taken(self) -> bool:
        """Whether the answer depends on what the person did."""
        return any(part.reads_taken for part in self.parts)


@dataclass(frozen=True)
class And(Expression):
    """All of the parts."""

    members: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions that this one joins."""
        return self.members

    def __str__(self) -> str:
        return " and ".join(map(_enclosed, self.members))


@dataclass(frozen=True)
class Or(Expression):
    """At least one of the parts."""

    members: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions that this one joins."""
        return self.members

    def __str__(self) -> str:
        return " or ".join(map(_enclosed, self.members))


@dataclass(frozen=True)
class Not(Expression):
    """Every item that the part is not true of."""

    part: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expression that this one negates."""
        return (self.part,)

    def __str__(self) -> str:
        return f"not {_enclosed(self.part)}"


@dataclass(frozen=True)
class Comparison(Expression):
    """Some value of the left compares so with some value of the right; false when either is missing."""

    left: Operand
    sign: str
    """One of = != < <= > >=; `!=` is true when no values are equal."""
    right: Operand

    @cached_property
    def settled(self) -> bool:
        """Whether it compares an attribute with a constant, or with a now that is no single ms."""
        fixed = isinstance(self.right, Constant) or (isinstance(self.right, Now) and self.sign not in ("=", "!="))
        return isinstance(self.left, ItemAttribute) and fixed

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right}"


@dataclass(frozen=True)
class Membership(Expression):
    """Some value of the left stands in a list, or none does; false when the left is missing."""

    left: Operand
    values: tuple[Operand, ...]
    negated: bool = False

    @cached_property
    def settled(self) -> bool:
        """Whether it compares an attribute with constants."""
        return isinstance(self.left, ItemAttribute) and all(isinstance(value, Constant) for value in self.values)

    def __str__(self) -> str:
        return f"{self.left} {'not in' if self.negated else 'in'} [{', '.join(map(str, self.values))}]"


@dataclass(frozen=True)
class Missing(Expression):
    """There is no value."""

    operand: Operand

    @cached_property
    def settled(self) -> bool:
        """Whether it asks about the item."""
        return isinstance(self.operand, ItemAttribute)

    def __str__(self) -> str:
        return f"{self.operand} is missing"


@dataclass(frozen=True)
class Seen(Expression):
    """The person did something with the item, by the moment of the request."""

    type: str | None = None
    """Only events of this type."""
    within: int | None = None
    """Only events less than so many ms old."""

    @cached_property
    def reads_taken(self) -> bool:
        """Always."""
        return True

    def __str__(self) -> str:
        kind = "" if self.type is None else f" as {Text(self.type)}"
        return f"seen{kind}" + ("" if self.within is None else f" within {write_duration(self.within)}")


@dataclass(frozen=True)
class Available(Expression):
    """The item may be shown at a moment."""

    at: Time | Now

    def __str__(self) -> str:
        return f"available at {self.at}"


def joined(kind: type[And] | type[Or], members: Sequence[Expression]) -> Expression:
    """The members as one expression in the one order: `b and (a and b)` is `a and b`."""
    flat = [part for one in members for part in (one.parts if isinstance(one, kind) else (one,))]
    distinct = {part.text: part for part in reversed(flat)}
    if len(distinct) == 1:
        return flat[0]
    return kind(tuple(distinct[text] for text in sorted(distinct)), place=flat[0].place)


def negated(part: Expression) -> Expression:
    """Not the part; of a negation, what it negates."""
    return part.part if isinstance(part, Not) else Not(part, place=part.place)


def _enclosed(expression: Expression) -> str:
    return f"({expression.text})" if isinstance(expression, And | Or) else expression.text

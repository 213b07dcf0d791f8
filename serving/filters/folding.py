"""A filter for one person at one moment: their values become constants, and what is then certain is resolved.

Two people of one country share the folded filter, and so its bitmap. What they took stays as it is, and `now`
before an item's attribute, too: those bitmaps outlive a request.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from features.dataset import ColumnConfig, DatasetConfig
from features.errors import RequestError
from features.person import Person
from serving.filters.attribute_columns import FIRST_MOMENT, LAST_MOMENT, exact_value
from serving.filters.expressions import And, Comparison, Expression, Membership, Missing, Not, Or, joined, negated
from serving.filters.operands import (
    Constant,
    ContextValue,
    ItemAttribute,
    Now,
    Number,
    Operand,
    Text,
    Time,
    UserAttribute,
)

ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ANY_TEXT = ColumnConfig(role="categorical")


class Folding:
    """One person at one moment."""

    def __init__(self, dataset: DatasetConfig, person: Person, moment: int) -> None:
        self._users = dataset.users.columns
        self._context = dataset.events.context
        self._person = person
        self._moment = moment

    def fold(self, expression: Expression) -> Expression | bool:
        """The expression over item attributes alone; True or False when it is the same for every item."""
        if expression.settled:
            return expression
        match expression:
            case And() | Or():
                return self._join(expression)
            case Not(part):
                folded = self.fold(part)
                return not folded if isinstance(folded, bool) else negated(folded)
            case Comparison():
                return self._compare(expression)
            case Membership():
                return self._member(expression)
            case Missing(UserAttribute() | ContextValue() as operand):
                return not self._values(operand)
        return expression

    def _join(self, expression: And | Or) -> Expression | bool:
        decides = isinstance(expression, Or)
        folded = [self.fold(part) for part in expression.parts]
        if decides in folded:
            return decides
        left = [one for one in folded if not isinstance(one, bool)]
        return joined(type(expression), left) if left else not decides

    def _compare(self, asked: Comparison) -> Expression | bool:
        left, sign, right = asked.left, asked.sign, asked.right
        values = self._values(right)
        if not values:
            return False
        if not isinstance(left, ItemAttribute):
            return any_compares(self._values(left), sign, values)
        if sign in ("=", "!="):
            return _one_of(left, values, none=sign == "!=")
        return Comparison(left, sign, values[0])

    def _member(self, asked: Membership) -> Expression | bool:
        values = [one for value in asked.values for one in self._values(value)]
        if isinstance(asked.left, ItemAttribute):
            return _one_of(asked.left, values, none=asked.negated)
        left = self._values(asked.left)
        found = not set(left).isdisjoint(values)
        return bool(left) and found != asked.negated

    def _values(self, operand: Operand) -> tuple[Constant, ...]:
        """What an operand stands for here: none when it is missing, or cannot be read as what it should be."""
        match operand:
            case Text() | Number() | Time():
                return (operand,)
            case Now(shift):
                return (Time(min(max(self._moment + shift, FIRST_MOMENT), LAST_MOMENT)),)
            case UserAttribute(name):
                return _constants(self._users, name, self._person.attribute(name, self._moment))
            case ContextValue(name):
                return _constants(self._context, name, self._person.context.get(name))
            case ItemAttribute():
                raise TypeError(f"{operand} differs from item to item")


def any_compares(left: tuple[Constant, ...], sign: str, right: tuple[Constant, ...]) -> bool:
    """Whether two sets of constants of one kind compare so; False when one is empty. Only texts may be several."""
    if not left or not right:
        return False
    match sign:
        case "=":
            return not set(left).isdisjoint(right)
        case "!=":
            return set(left).isdisjoint(right)
    return bool(ORDERS[sign](left[0].value, right[0].value))


def _one_of(attribute: ItemAttribute, values: Iterable[Constant], *, none: bool) -> Membership:
    """The membership in its one form, whatever the order in which the person has the values."""
    return Membership(attribute, tuple(sorted(set(values), key=str)), negated=none)


def _constants(columns: Mapping[str, ColumnConfig], name: str, value: Any) -> tuple[Constant, ...]:
    """The value of a person's attribute or of their context, read by its role as the item's side is read."""
    try:
        exact = exact_value(columns.get(name, _ANY_TEXT), value)
    except RequestError:
        return ()
    match exact:
        case None:
            return ()
        case list(texts):
            return tuple(map(Text, texts))
        case str(text):
            return (Text(text),)
        case int(moment):
            return (Time(moment),)
    return (Number(exact),)

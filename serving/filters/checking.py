"""A filter held against the data set: every name exists, and what is compared can be compared.

The result is in normal form: an attribute of the item stands on the left of its comparison.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Literal, TypeAlias

from features.dataset import ColumnConfig, DatasetConfig, Role
from serving.filters.expressions import (
    And,
    Available,
    Comparison,
    Expression,
    Membership,
    Missing,
    Not,
    Or,
    Seen,
    joined,
    negated,
)
from serving.filters.operands import ContextValue, ItemAttribute, Now, Number, Operand, Text, Time, UserAttribute
from serving.filters.parsing import refuse, shown

Kind: TypeAlias = Literal["text", "number", "time"]
CIRCUMSTANCES = ("device", "channel", "locale")
"""Texts that every request may give in its context, beside the context columns of the data set."""
_KINDS: dict[Role, Kind] = {
    "categorical": "text",
    "multi_categorical": "text",
    "numeric": "number",
    "time": "time",
    "birth_date": "time",
}
_TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def check(expression: Expression, dataset: DatasetConfig) -> Expression:
    """The expression in normal form. Raises RequestError, field `filter`, for what the data set does not know."""
    match expression:
        case And() | Or():
            return joined(type(expression), [check(part, dataset) for part in expression.parts])
        case Not(part):
            return negated(check(part, dataset))
        case Comparison():
            return _comparison(expression, dataset)
        case Membership():
            return _membership(expression, dataset)
        case Missing(operand):
            if not isinstance(operand, ItemAttribute | UserAttribute | ContextValue):
                refuse(f"{shown(operand)} is never missing", operand.place, "Only an attribute may be.")
            _kind(operand, dataset)
        case Seen():
            _check_seen(expression, dataset)
        case Available(at):
            _kind(at, dataset)
    return expression


def _comparison(asked: Comparison, dataset: DatasetConfig) -> Expression:
    kind = _same_kind(asked.left, asked.right, dataset)
    if kind == "text" and asked.sign not in ("=", "!="):
        refuse(
            f"{asked.sign} orders numbers and times, and {shown(asked.left)} is text",
            asked.place,
            "Write = or in [...].",
        )
    if isinstance(asked.right, ItemAttribute):
        if isinstance(asked.left, ItemAttribute):
            _refuse_two(asked.right)
        return replace(asked, left=asked.right, sign=_TURNED[asked.sign], right=asked.left)
    return asked


def _membership(asked: Membership, dataset: DatasetConfig) -> Expression:
    _kind(asked.left, dataset)
    for value in asked.values:
        _same_kind(asked.left, value, dataset)
        if isinstance(value, ItemAttribute):
            if isinstance(asked.left, ItemAttribute) or len(asked.values) > 1:
                _refuse_two(value)
            return _in_attribute(asked, value)
    return asked


def _in_attribute(asked: Membership, listed: ItemAttribute) -> Expression:
    """`user.country in countries`: the item's values are the list."""
    found = Comparison(listed, "=", asked.left, place=asked.place)
    if not asked.negated:
        return found
    absent = negated(found)
    if not isinstance(asked.left, UserAttribute | ContextValue):
        return absent
    return joined(And, [absent, negated(Missing(asked.left, place=asked.place))])


def _refuse_two(second: ItemAttribute) -> None:
    refuse(
        f"{second} is an attribute of items, too, and a filter cannot compare two of them",
        second.place,
        f'Compare with a value. A text stands in quotes: "{second.name}".',
    )


def _check_seen(asked: Seen, dataset: DatasetConfig) -> None:
    kept = [name for name, kind in dataset.types.items() if kind.sign != "exposure"]
    if asked.type is not None and asked.type not in kept:
        mere = asked.type in dataset.types
        problem = "events of this type are exposures, which nobody did" if mere else "there is no such event type"
        refuse(problem, asked.place, f"The types are: {', '.join(kept)}.")
    if asked.within is not None and not dataset.timed:
        refuse("events have an order but no time, so nothing is so many days old", asked.place, "Leave `within` out.")


def _same_kind(left: Operand, right: Operand, dataset: DatasetConfig) -> Kind:
    ours, theirs = _kind(left, dataset), _kind(right, dataset)
    if ours != theirs:
        constant, wanted = (left, theirs) if isinstance(left, Text | Number | Time) else (right, ours)
        refuse(f"{shown(left)} is a {ours} and {shown(right)} a {theirs}", constant.place, _as_kind(constant, wanted))
    return ours


def _as_kind(operand: Operand, wanted: Kind) -> str:
    """How a constant would be written that can be compared."""
    if not isinstance(operand, Text | Number | Time):
        return "Only values of one kind can be compared."
    match wanted:
        case "text":
            return "A text stands in quotes."
        case "number":
            return "Numbers stand without quotes, such as 20 or 9.99."
        case "time":
            return "Times stand without quotes, as 2026-05-01 or 2026-05-01T18:00:00Z."


def _kind(operand: Operand, dataset: DatasetConfig) -> Kind:
    match operand:
        case Text():
            return "text"
        case Number():
            return "number"
        case Time():
            return "time"
        case Now():
            if not dataset.timed:
                refuse("events have an order but no time, so there is no now", operand.place, "Name a time.")
            return "time"
        case ItemAttribute(name):
            return _kind_of(operand, name, dataset.items.columns, "attribute of items")
        case UserAttribute(name):
            return _kind_of(operand, name, dataset.users.columns, "attribute of users")
        case ContextValue(name):
            if name in CIRCUMSTANCES and name not in dataset.events.context:
                return "text"
            return _kind_of(operand, name, dataset.events.context, "value of the context", CIRCUMSTANCES)


def _kind_of(
    operand: Operand, name: str, columns: Mapping[str, ColumnConfig], what: str, others: Iterable[str] = ()
) -> Kind:
    known = sorted({*others, *(key for key, column in columns.items() if column.role in _KINDS)})
    listed = f"There are: {', '.join(known)}." if known else "There are none."
    if name not in columns:
        near = get_close_matches(name, known, 1)
        quoted = (
            f' A text stands in quotes: "{shown(name)}".' if isinstance(operand, ItemAttribute) and not near else ""
        )
        meant = f"Did you mean {near[0]}? " if near else ""
        refuse(f"there is no {what} called {shown(name)}", operand.place, f"{meant}{listed}{quoted}")
    role = columns[name].role
    if role not in _KINDS:
        refuse(f"{operand} is free text, which towers read and filters do not", operand.place, listed)
    return _KINDS[role]

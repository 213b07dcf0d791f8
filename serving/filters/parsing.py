"""From the text of a filter to its tree: grammar, limits, and errors that point at line and column.

Nothing is looked up here; `checking` holds the tree against the data set.
"""

import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args

from features.errors import RequestError
from serving.filters.attribute_columns import as_moment
from serving.filters.expressions import (
    And,
    Available,
    Comparison,
    Expression,
    Membership,
    Missing,
    Or,
    Seen,
    joined,
    negated,
)
from serving.filters.operands import (
    NOWHERE,
    UNITS,
    ContextValue,
    ItemAttribute,
    Now,
    Number,
    Operand,
    Place,
    Text,
    Time,
    UserAttribute,
)

MAX_CHARACTERS = 20_000
MAX_DEPTH = 20
MAX_CONDITIONS = 200
MAX_VALUES = 1_000
MAX_DAYS = 36_500
SHOWN_CHARACTERS = 40
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_HINT = "The language is described in docs/filters.md."


def refuse(message: str, place: Place = NOWHERE, hint: str | None = _HINT) -> NoReturn:
    """Raise the RequestError of a filter, with the place where the reader should look."""
    where = "" if place == NOWHERE else f"line {place.line}, column {place.column}: "
    raise RequestError(f"{where}{message}", field="filter", hint=hint)


def shown(what: object) -> str:
    """A part of a filter as an error repeats it: not all of what may be long."""
    text = str(what)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def parse(text: str) -> Expression:
    """The tree of a text. Raises RequestError, field `filter`, for what is no filter or is too large."""
    if len(text) > MAX_CHARACTERS:
        refuse(f"a filter has at most {MAX_CHARACTERS} characters; this one has {len(text)}", hint=None)
    if not text.strip():
        refuse("the filter is empty", hint="Leave the field out to filter nothing.")
    try:
        return _reader()(text)
    except UnexpectedCharacters as error:
        _refuse_character(error)
    except UnexpectedToken as error:
        _refuse_token(error)


def _bounded(tree: Expression) -> Expression:
    """The tree, if it is small enough: asked of every part as it is made, so that no large one ever exists."""
    if tree.depth > MAX_DEPTH:
        refuse(f"conditions are nested more than {MAX_DEPTH} deep", tree.place, "Write it flatter.")
    if tree.conditions > MAX_CONDITIONS:
        hint = "A list holds many values in one condition: genre in [...]."
        refuse(f"a filter has at most {MAX_CONDITIONS} conditions", tree.place, hint)
    return tree


def _place(token: Token) -> Place:
    return Place(token.line or 0, token.column or 0)


@v_args(inline=True)
class _Builder(Transformer[Token, Expression]):
    """Makes nodes while the text is read, so that no deep tree is ever walked by recursion."""

    def disjunction(self, *members: Expression) -> Expression:
        return _bounded(joined(Or, members))

    def conjunction(self, *members: Expression) -> Expression:
        return _bounded(joined(And, members))

    def negation(self, part: Expression) -> Expression:
        return _bounded(negated(part))

    def comparison(self, left: Operand, sign: Token, right: Operand) -> Expression:
        return Comparison(left, str(sign), right, place=left.place)

    def one_of(self, left: Operand, values: tuple[Operand, ...]) -> Expression:
        return Membership(left, values, place=left.place)

    def none_of(self, left: Operand, values: tuple[Operand, ...]) -> Expression:
        return Membership(left, values, negated=True, place=left.place)

    def missing(self, operand: Operand) -> Expression:
        return Missing(operand, place=operand.place)

    def present(self, operand: Operand) -> Expression:
        return negated(Missing(operand, place=operand.place))

    def seen(self, *tokens: Token) -> Expression:
        given = {token.type: token for token in tokens}
        kind = next((token for token in tokens if token.type not in ("SEEN", "DURATION")), None)
        within = _duration(given["DURATION"]) if "DURATION" in given else None
        return Seen(None if kind is None else str(kind), within, place=_place(kind or tokens[0]))

    def available(self, word: Token, at: Time | Now) -> Expression:
        return Available(at, place=_place(word))

    def values(self, *values: Operand) -> tuple[Operand, ...]:
        if len(values) > MAX_VALUES:
            refuse(f"a list has at most {MAX_VALUES} values; this one has {len(values)}", values[0].place, None)
        return tuple(sorted(dict.fromkeys(values), key=str))

    def single(self, value: Operand) -> tuple[Operand, ...]:
        if not isinstance(value, ItemAttribute | UserAttribute | ContextValue):
            refuse("`in` wants a list", value.place, f"Write it in brackets: [{shown(value)}].")
        return (value,)

    def text(self, token: Token) -> Operand:
        value = _unquoted(token).strip()
        if not value:
            refuse("a text cannot be empty", _place(token), "An attribute without a value `is missing`.")
        return Text(value, place=_place(token))

    def number(self, token: Token) -> Operand:
        value = float(token) + 0.0  # so that -0.0 and 0.0 are written alike
        if not math.isfinite(value):
            refuse("this number is too large", _place(token), None)
        return Number(value, place=_place(token))

    def time(self, token: Token) -> Operand:
        if len(token) > len("2026-05-01") and not re.search(r"([Zz]|[+-]\d\d:\d\d)$", token):
            refuse("a time of day needs a zone", _place(token), f"Write {token}Z for UTC, or {token}+02:00.")
        try:
            return Time(as_moment(str(token)), place=_place(token))
        except RequestError:
            refuse("there is no such time", _place(token), "Write it as 2026-05-01 or 2026-05-01T18:00:00Z.")

    def now(self, word: Token, sign: Token | None = None, span: Token | None = None) -> Operand:
        shift = 0 if span is None else _duration(span)
        return Now(-shift if sign == "-" else shift, place=_place(word))

    def item_attribute(self, name: Token) -> Operand:
        return ItemAttribute(str(name), place=_place(name))

    def user_attribute(self, name: Token) -> Operand:
        return UserAttribute(str(name), place=_place(name))

    def context_value(self, name: Token) -> Operand:
        return ContextValue(str(name), place=_place(name))

    def event_type(self, token: Token) -> Token:
        return token.update(value=_unquoted(token))

    def name(self, token: Token) -> Token:
        return token.update(value=token.strip("`"))


def _duration(token: Token) -> int:
    span = int(token[:-1]) * int(UNITS[token[-1]])
    if not 0 < span <= MAX_DAYS * UNITS["d"]:
        refuse(f"a duration is more than nothing and at most {MAX_DAYS}d", _place(token), "Write it as 12h, 30d or 2w.")
    return span


def _unquoted(token: Token) -> str:
    return _ESCAPED.sub(lambda found: str(found[1]), str(token)[1:-1])


@cache
def _reader() -> Callable[[str], Expression]:
    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return cast("Callable[[str], Expression]", Lark(grammar, parser="lalr", transformer=_Builder()).parse)


def _refuse_character(error: UnexpectedCharacters) -> NoReturn:
    found = error.char
    place = Place(error.line, error.column)
    if found in "\"'`":
        refuse(f"what begins with {found} here has no end", place, f"Close it with another {found}.")
    if found in "&|!":
        refuse(f"there is no sign {found!r}", place, "Write `and`, `or`, `not`.")
    refuse(f"nothing can be made of {found!r} here", place)


_WORDS: dict[str, str] = {
    "NAME": "an attribute",
    "STRING": "a text in quotes",
    "NUMBER": "a number",
    "TIME": "a time",
    "DURATION": "a duration such as 30d",
    "COMPARISON": "a comparison such as =",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "DOT": ".",
    "$END": "the end",
}


def _refuse_token(error: UnexpectedToken) -> NoReturn:
    token = error.token
    expected = sorted(name for name in error.accepts or error.expected if name not in ("QUOTED", "SIGN"))
    words = ", ".join(_WORDS.get(name, f"`{name.lower()}`") for name in expected)
    if token.type == "$END":
        refuse("the filter ends too early", _place(token), f"Next may come: {words}.")
    refuse(f"{shown(token)} cannot stand here", _place(token), f"Here may come: {words}.")

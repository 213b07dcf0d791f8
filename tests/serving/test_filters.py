"""Filters against a slow reference that asks row by row, in plain Python, what docs/filters.md says."""

import operator
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.arrays import IntArray
from features.dataset import DatasetConfig
from features.moments import HOUR
from features.person import Change, Person, Taken
from features.vocabulary import RESERVED
from serving.filters import FilterCache, FilterScope, ItemTable, Past, parse_filter
from serving.filters.attributes import Attributes
from serving.retrieval import bitmap

STATIC = {"static": True}
SHOP = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {"type": "type", "context": {"degrees": {"role": "numeric"}}},
        "types": {"view": {}, "add-to-cart": {}, "shown": {"sign": "exposure"}},
        "users": {
            "columns": {
                "home": {"role": "categorical", **STATIC},
                "likes": {"role": "multi_categorical", **STATIC},
                "budget": {"role": "numeric", "time": "since"},
                "born": {"role": "birth_date", **STATIC},
            }
        },
        "items": {
            "columns": {
                "brand": {"role": "categorical", **STATIC},
                "the genre": {"role": "multi_categorical", "separator": "|", **STATIC},
                "price": {"role": "numeric", **STATIC},
                "published": {"role": "time", **STATIC},
            },
            "available": {"from": "from", "to": "to"},
        },
    }
)
KINDS = {"brand": "text", "the genre": "text", "price": "number", "published": "time"}
USER_KINDS = {"home": "text", "likes": "text", "budget": "number", "born": "time"}
CONTEXT_KINDS = {"device": "text", "degrees": "number"}
ALWAYS = np.iinfo(np.int64)
START = 1_780_000_000_000
HOURS = st.integers(-4, 4)
MOMENTS = HOURS.map(lambda hours: START + hours * HOUR)
ASKED = st.builds(operator.add, MOMENTS, st.integers(-1, 1))
TEXTS = st.sampled_from(["a", "b", "B", 'c "d" \\', "é\ne"])
NUMBERS = st.sampled_from([-1.5, 0.0, 1.0, 20.0, 1e20])
CONSTANTS = {"text": TEXTS, "number": NUMBERS, "time": MOMENTS}

Tree = tuple[Any, ...]


def constants(kind: str) -> st.SearchStrategy[Tree]:
    found = CONSTANTS[kind].map(lambda value: ("constant", value))
    return found | HOURS.map(lambda hours: ("now", hours)) if kind == "time" else found


def of_request(kind: str) -> st.SearchStrategy[Tree]:
    users = [("user", name) for name, own in USER_KINDS.items() if own == kind]
    context = [("context", name) for name, own in CONTEXT_KINDS.items() if own == kind]
    return constants(kind) | st.sampled_from(users + context)


def of_item(kind: str) -> st.SearchStrategy[Tree]:
    return st.sampled_from([("item", name) for name, own in KINDS.items() if own == kind])


@st.composite
def conditions(draw: st.DrawFn) -> Tree:
    kind = draw(st.sampled_from(sorted(CONSTANTS)))
    left, right = draw(of_item(kind) | of_request(kind)), draw(of_request(kind))
    if draw(st.booleans()):
        left, right = right, left
    values = draw(st.lists(of_request(kind), max_size=3))
    signs = ["=", "!="] if kind == "text" else ["=", "!=", "<", "<=", ">", ">="]
    within = draw(st.none() | st.integers(1, 5))
    return draw(
        st.sampled_from(
            [
                ("compare", left, draw(st.sampled_from(signs)), right),
                ("in", left, values, draw(st.booleans())),
                ("listed", left, right, draw(st.booleans()))
                if right[0] not in ("constant", "now")
                else ("seen", None, 1),
                ("missing", draw(of_item(kind) | st.sampled_from([("user", "likes"), ("context", "degrees")]))),
                ("seen", draw(st.sampled_from([None, "view", "add-to-cart"])), within),
                ("available", draw(constants("time"))),
            ]
        )
    )


TREES = st.recursive(
    conditions(),
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3))
        | st.tuples(st.just("not"), inner)
    ),
    max_leaves=6,
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "brand": st.none() | TEXTS,
        "the genre": st.none() | st.lists(TEXTS, max_size=3),
        "price": st.none() | NUMBERS,
        "published": MOMENTS.map(lambda moment: moment // 1000),
        "from": MOMENTS,
        "to": MOMENTS,
    },
)
PEOPLE = st.builds(
    lambda attributes, budget, context: Person(
        attributes=attributes, changes={"budget": [Change(*change) for change in budget]}, context=context
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "home": TEXTS | st.just(["no", "text"]),
            "likes": st.lists(TEXTS, max_size=2),
            "born": MOMENTS.map(lambda moment: moment // 1000),
        },
    ),
    st.lists(st.tuples(MOMENTS, NUMBERS), max_size=2).map(lambda changes: sorted(changes)),
    st.fixed_dictionaries({}, optional={"device": TEXTS, "degrees": NUMBERS | st.just("warm")}),
)


def written(tree: Tree) -> str:
    """The tree in the language, with more brackets than it needs."""
    match tree:
        case ("and" | "or") as word, members:
            return f" {word}\n".join(f"({written(one)})" for one in members)
        case "not", part:
            return f"not ({written(part)})"
        case "compare", left, sign, right:
            return f"{operand(left)}{sign} {operand(right)}"
        case "in", left, values, negated:
            return f"{operand(left)} {'not ' * negated}in [{', '.join(map(operand, values))}]"
        case "listed", left, right, negated:
            return f"{operand(left)} {'not ' * negated}in {operand(right)}"
        case "missing", value:
            return f"{operand(value)} is missing"
        case "seen", kind, within:
            words = "seen" if kind is None else f'seen as "{kind}"'
            return words if within is None else f"{words} within {within}h"
        case "available", at:
            return f"available at {operand(at)}"
    raise AssertionError(tree)


def operand(tree: Tree) -> str:
    match tree:
        case "constant", str(text):
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case "constant", float(number):
            return f"{number}"
        case "constant", moment:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).isoformat()
        case "now", hours:
            return f"now {'-' if hours < 0 else '+'} {abs(hours)}h" if hours else "now"
        case "item", name:
            return f"`{name}`"
        case side, name:
            return f"{side}.{name}"
    raise AssertionError(tree)


class Reference:
    """One item, one person, one moment."""

    def __init__(self, record: Mapping[str, Any], took: Sequence[tuple[str, int]], person: Person, moment: int) -> None:
        self.record = record
        self.took = took
        self.person = person
        self.moment = moment

    def holds(self, tree: Tree) -> bool:
        match tree:
            case "and", members:
                return all(self.holds(one) for one in members)
            case "or", members:
                return any(self.holds(one) for one in members)
            case "not", part:
                return not self.holds(part)
            case "compare", left, sign, right:
                return self.compares(self.values(left), sign, self.values(right))
            case "in", left, values, negated:
                listed = [one for value in values for one in self.values(value)]
                return self.listed(self.values(left), listed, negated)
            case "listed", left, right, negated:
                return self.listed(self.values(left), self.values(right), negated)
            case "missing", value:
                return not self.values(value)
            case "seen", kind, within:
                return any(
                    kind in (None, type_) and at <= self.moment and (within is None or self.moment - at < within * HOUR)
                    for type_, at in self.took
                )
            case "available", at:
                (moment,) = self.values(at)
                return bool(self.record.get("from", ALWAYS.min) <= moment <= self.record.get("to", ALWAYS.max))
        raise AssertionError(tree)

    def compares(self, left: list[Any], sign: str, right: list[Any]) -> bool:
        if not left or not right:
            return False
        match sign:
            case "=":
                return bool(set(left) & set(right))
            case "!=":
                return not set(left) & set(right)
            case "<":
                return bool(left[0] < right[0])
            case "<=":
                return bool(left[0] <= right[0])
            case ">":
                return bool(left[0] > right[0])
        return bool(left[0] >= right[0])

    def listed(self, left: list[Any], values: list[Any], negated: bool) -> bool:
        return bool(left) and bool(set(left) & set(values)) != negated

    def values(self, tree: Tree) -> list[Any]:
        match tree:
            case "constant", value:
                return [value]
            case "now", hours:
                return [self.moment + hours * HOUR]
            case "item", name:
                return self.read(KINDS[name], self.record.get(name))
            case "user", name:
                return self.read(USER_KINDS[name], self.person.attribute(name, self.moment))
            case "context", name:
                return self.read(CONTEXT_KINDS[name], self.person.context.get(name))
        raise AssertionError(tree)

    def read(self, kind: str, value: Any) -> list[Any]:
        if value is None or value in ("warm", ["no", "text"]):
            return []
        if kind == "time":
            return [value * 1000]
        return value if isinstance(value, list) else [value]


def table_of(records: Sequence[Mapping[str, Any]], number: int, rows: IntArray | None = None) -> ItemTable:
    return ItemTable(
        number,
        Attributes.of(SHOP.items.columns, records),
        np.array([record.get("from", ALWAYS.min) for record in records], dtype=np.int64),
        np.array([record.get("to", ALWAYS.max) for record in records], dtype=np.int64),
        rows,
    )


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[ItemTable, ItemTable | None, dict[int, dict[str, Any]]]:
    """Items of a bundle, those that changed or came since, and what each row holds in the end."""
    records = draw(st.lists(RECORDS, max_size=12))
    main = table_of([{}, {}, *records], 1)
    current = dict(enumerate(records, start=RESERVED))
    rows = draw(st.lists(st.integers(RESERVED, len(main) + 3), unique=True, max_size=4))
    newer = [draw(RECORDS) for _ in rows]
    changed = table_of(newer, 2, np.array(rows, dtype=np.int64)) if draw(st.booleans()) else None
    if changed is not None:
        current |= dict(zip(rows, newer, strict=True))
    return main, changed, current


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    took = draw(st.lists(st.tuples(st.integers(0, 18), st.sampled_from(["view", "add-to-cart"]), MOMENTS), max_size=5))
    moments = np.array([at for _, _, at in took], dtype=np.int64)
    rows = np.array([row for row, _, _ in took], dtype=np.int64)
    return Past(Taken([f"i{row}" for row, _, _ in took], [kind for _, kind, _ in took], moments), rows)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(catalogues(), TREES, PEOPLE, pasts(), st.lists(ASKED, min_size=1, max_size=3), st.sampled_from([1, 2**20]))
def test_a_filter_passes_the_items_that_the_reference_passes(
    catalogue: tuple[ItemTable, ItemTable | None, dict[int, dict[str, Any]]],
    tree: Tree,
    person: Person,
    past: Past,
    moments: list[int],
    max_bytes: int,
) -> None:
    """Over the same cache for moments in any order, so that nothing is ever answered from the wrong one."""
    main, changed, current = catalogue
    asked, cache = parse_filter(written(tree), SHOP), FilterCache(max_bytes)
    again = parse_filter(asked.text, SHOP)
    assert again == asked
    assert again.text == asked.text
    for moment in moments:
        scope = FilterScope(main, moment, cache, person, past, changed)
        took = list(zip(past.rows.tolist(), past.taken.types, past.taken.moments.tolist(), strict=True))
        expected = [
            row
            for row, record in sorted(current.items())
            if Reference(record, [(kind, at) for item, kind, at in took if item == row], person, moment).holds(tree)
        ]
        bits = asked.bitmap(scope)
        assert bitmap.members(bits).tolist() == expected
        assert len(bits) == (scope.n_rows + 7) // 8
        assert (
            bitmap.members(asked.bitmap(FilterScope(main, moment, FilterCache(), person, past, changed))).tolist()
            == expected
        )
        assert (
            asked.reads_taken
            or bitmap.members(asked.bitmap(FilterScope(main, moment, cache, person, Past(), changed))).tolist()
            == expected
        )

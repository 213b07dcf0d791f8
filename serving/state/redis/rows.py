"""Rows of the Redis store as the protocols have them: what scripts take and return, written and read as JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from features.person import Change, Events, Person, Taken
from features.statements import Statement
from serving.state.protocol import StoredEvent
from serving.state.redis.tables import TABLES
from serving.state.sqlite_schema import STATIC

EXPORTED = ("attributes", "statements", "events", "taken", "dead_letters", "served")
"""Tables of an export, in the order in which `exported` takes them."""
_NUMBER_DIGITS = 15
"""Digits with which a name in the order of events begins; the event's type follows."""


def packed(values: Any) -> str:
    """One JSON text; raises as `json` does for what is no plain data."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def whose(user_id: str | None, anonymous_id: str | None) -> tuple[str, str] | None:
    """How scripts name whom an id means: "0" and a user's, "1" and a visitor's; None for nobody."""
    if user_id is not None:
        return "0", user_id
    return None if anonymous_id is None else ("1", anonymous_id)


def perhaps(outside_id: str | None) -> str:
    """An id that may be absent, as scripts take it."""
    return "" if outside_id is None else f"={outside_id}"


def event_row(event: StoredEvent) -> str:
    """The columns of an event beside its number."""
    return packed([getattr(event, name) for name in TABLES["events"].columns])


def statement_row(one: Statement) -> str:
    """The columns of a statement beside its number."""
    return packed((one.kind, one.key, one.value, one.moment, one.source))


def unpacked(texts: Iterable[str]) -> list[Any]:
    """Many JSON texts read at once."""
    found: list[Any] = json.loads(f"[{','.join(texts)}]")
    return found


def pairs(flat: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Fields and values of a hash, which come as one list."""
    return flat[::2], flat[1::2]


def person_of(found: Sequence[Any], newest: int, without: Iterable[str]) -> Person:
    """The record of one person, or of a user and a visitor as one, from what `person.lua` returns."""
    seen, *persons = found
    static, changes = attributes_of([flat for *_, flat in persons])
    return Person(
        events=_events(newest_rows(persons, newest)),
        taken=_taken([flat for _, _, flat, _ in persons], frozenset(without)),
        attributes=static,
        changes=changes,
        seen=int(seen),
    )


def first_user(ids: Sequence[str]) -> str | None:
    """The first of a person's ids that is a user's, from `rows.lua`: each with 0 for a user's, else 1."""
    return min((one for one, score in zip(*pairs(ids), strict=True) if float(score) == 0), default=None)


def newest_rows(persons: Sequence[Any], newest: int) -> list[Any]:
    """The newest events of some persons, oldest first, from what `person.lua` returns."""
    events = [
        (row[3], int(name[:_NUMBER_DIGITS]), row)
        for names, rows, _, _ in persons
        for name, row in zip(names, unpacked(rows), strict=True)
    ]
    return [row for *_, row in sorted(events, key=lambda one: one[:2])[-newest:]]


def attributes_of(each: Iterable[Sequence[str]]) -> tuple[dict[str, Any], dict[str, list[Change]]]:
    """Attributes that never change and those that do, by name, from the hashes of some persons."""
    static: dict[str, Any] = {}
    changes: dict[str, list[Change]] = {}
    for flat in each:
        fields, values = pairs(flat)
        for (name, moment), (value,) in zip(unpacked(fields), unpacked(values), strict=True):
            if moment == STATIC:
                static[name] = value
            else:
                changes.setdefault(name, []).append(Change(moment, value))
    for of_one in changes.values():
        of_one.sort(key=lambda change: change.moment)
    return static, changes


def taken_of(each: Iterable[Sequence[str]]) -> dict[tuple[str, str], int]:
    """(item_id, type) -> newest moment, from the hashes of some persons."""
    newest: dict[tuple[str, str], int] = {}
    for flat in each:
        for field, text in zip(*pairs(flat), strict=True):
            kind, _, item_id = field.partition("\n")
            newest[item_id, kind] = max(int(text), newest.get((item_id, kind), int(text)))
    return newest


def statements_of(each: Iterable[Sequence[str]]) -> list[Statement]:
    """Statements from the hashes of some persons, oldest first."""
    found = []
    for flat in each:
        for number, (kind, key, value, moment, source) in _numbered(flat):
            found.append(((moment, int(number)), Statement(kind, key, value, moment, source)))
    return [one for _, one in sorted(found, key=lambda numbered: numbered[0])]


def exported(persons: Sequence[Any]) -> dict[str, Any]:
    """Everything of some persons as plain data, from their ids and the rows of `EXPORTED` tables."""
    ids, attributes, said, events, taken, letters, served = (
        [one[place] for one in persons] for place in range(len(EXPORTED) + 1)
    )
    static, changes = attributes_of(attributes)
    records = [(row[3], int(number), row) for flat in events for number, row in _numbered(flat)]
    names = TABLES["events"].columns
    outside = sorted((score, one) for flat in ids for one, score in zip(*pairs(flat), strict=True))
    return {
        "user_ids": [one for score, one in outside if score == "0"],
        "anonymous_ids": [one for score, one in outside if score != "0"],
        "attributes": static,
        "changes": {name: [change._asdict() for change in each] for name, each in changes.items()},
        "statements": [one._asdict() for one in statements_of(said)],
        "events": [dict(zip(names, row, strict=True)) for *_, row in sorted(records, key=lambda one: one[:2])],
        "taken": [
            {"item_id": item_id, "type": kind, "moment": moment}
            for (item_id, kind), moment in sorted(taken_of(taken).items())
        ],
        "dead_letters": [
            {"content": content, "moment": moment, "field": field, "message": message}
            for _, content, moment, field, message in _in_order(letters)
        ],
        "served": [{"request_id": one, "moment": moment, **answer} for one, moment, answer in _in_order(served)],
    }


def _in_order(each: Iterable[Sequence[str]]) -> list[Any]:
    rows = [(int(number), row) for flat in each for number, row in _numbered(flat)]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def _numbered(flat: Sequence[str]) -> Iterable[tuple[str, Any]]:
    numbers, rows = pairs(flat)
    return zip(numbers, unpacked(rows), strict=True)


def _events(rows: Sequence[Any]) -> Events:
    if not rows:
        return Events()
    _, item_ids, types, moments, values, contexts, *_ = zip(*rows, strict=True)
    return Events(
        item_ids=item_ids,
        types=types,
        moments=np.array(moments, dtype=np.int64),
        values=np.array(values, dtype=np.float32),
        contexts=[context or {} for context in contexts] if any(contexts) else None,
    )


def _taken(each: Sequence[Sequence[str]], without: frozenset[str]) -> Taken:
    rows = [(*key, moment) for key, moment in taken_of(each).items() if key[1] not in without]
    if not rows:
        return Taken()
    item_ids, types, moments = zip(*rows, strict=True)
    return Taken(item_ids, types, np.array(moments, dtype=np.int64))

"""Upkeep of the Redis store: its hashes and streams as the rows that the SQLite store has, read and written."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import Any, TypeVar

from serving.state.places import RedisPlace
from serving.state.redis.connections import Connections
from serving.state.redis.item_log import RedisItemLog
from serving.state.redis.rows import packed, pairs
from serving.state.redis.tables import LOGGED, TABLES
from serving.state.upkeep import COUNTERS, IDENTITY, Row

T = TypeVar("T")
PEOPLE_AT_ONCE = 200
ROWS_AT_ONCE = 1_000
COUNTER_KEYS = {"rows": "tb:number", "items": "tb:items:number", "persons": "tb:persons"}
NOBODY = "0"
"""The person of rows that are nobody's."""
PERSONAL = ("statements", "attributes", "audit_keys")
RECEIPT = ("moment", "removed", "ids", "report")
ACCESS_KEY = ("number", "key_id", "name", "scopes", "digest", "made", "expires", "rate", "burst")
AUDIT = ("moment", "actor", "action", "mark", "request_id", "detail")
_COLUMNS = {
    "item_log": ("identity",),
    "ids": ("person", "anonymous", "id"),
    "settings": ("name", "value"),
    "erasures": ("mark", "moment", "receipt"),
    "erased_events": ("mark", "moment"),
}
"""Columns of a row as its script takes them."""


class RedisUpkeep:
    """`Upkeep` of one database. Events are held in numbers alone, 16 bytes each, while they are put in order."""

    def __init__(self, place: RedisPlace, patience: float = 10.0) -> None:
        """Open or make the store; `patience` is the longest wait for the server, in seconds."""
        with closing(RedisItemLog(place, patience)):
            self._connections = Connections(place, patience)

    def rebuild(self) -> dict[str, int]:
        some = parts(self._people(), PEOPLE_AT_ONCE)
        return {"taken": sum(int(self._connections.write("rebuild", *people)) for people in some)}

    def rows(self) -> Iterator[tuple[str, Sequence[Row]]]:
        yield COUNTERS, [{"name": name, "number": self._number(key)} for name, key in COUNTER_KEYS.items()]
        yield IDENTITY, [{"identity": self._get("tb:items:identity")}]
        yield "event_exports", [{"number": self._number("tb:exported")}]
        people = self._people()
        for some in parts(people, PEOPLE_AT_ONCE):
            yield from self._personal(some)
        for table in ("events", *LOGGED):
            yield from self._numbered(table, people)
        yield from self._of_the_store()

    def put(self, table: str, rows: Sequence[Row]) -> None:
        for some in parts(rows, ROWS_AT_ONCE):
            self._connections.write(*_writing(table, some))

    def identity(self) -> str | None:
        held = ("tb:people", "tb:items:number", "tb:audit", "tb:erased")
        return self._get("tb:items:identity") if self._connections.ask(lambda client: client.exists(*held)) else None

    def close(self) -> None:
        self._connections.close()

    def _get(self, key: str) -> str | None:
        found = self._connections.ask(lambda client: client.get(key))
        return None if found is None else str(found)

    def _number(self, key: str) -> int:
        return int(self._get(key) or 0)

    def _people(self) -> list[str]:
        found: Any = self._connections.ask(lambda client: client.zrange("tb:people", 0, -1))
        return sorted(found, key=int)

    def _personal(self, people: Sequence[str]) -> Iterator[tuple[str, Sequence[Row]]]:
        """Ids of some persons, and their rows beside events."""
        found = self._connections.read("people", len(PERSONAL), *PERSONAL, *people)
        ids = [
            {"person": int(person), "anonymous": int(score), "id": one}
            for person, (held, *_) in zip(people, found, strict=True)
            for one, score in zip(*pairs(held), strict=True)
        ]
        yield "ids", ids
        for place, table in enumerate(PERSONAL, start=1):
            flat = [(person, each[place]) for person, each in zip(people, found, strict=True)]
            yield (
                table,
                [
                    _row(table, person, field, value)
                    for person, fields in flat
                    for field, value in zip(*pairs(fields), strict=True)
                ],
            )

    def _numbered(self, table: str, people: Sequence[str]) -> Iterator[tuple[str, Sequence[Row]]]:
        """The rows of all, and of nobody, in the order of their numbers."""
        order: list[tuple[int, int]] = []
        for some in parts([NOBODY, *people], PEOPLE_AT_ONCE):
            for person, numbers in zip(some, self._connections.read("numbers", table, *some), strict=True):
                order += [(int(number), int(person)) for number in numbers]
        order.sort()
        for places in parts(order, ROWS_AT_ONCE):
            flat = chain.from_iterable((person, number) for number, person in places)
            rows = zip(places, self._connections.read("rows_at", table, *flat), strict=True)
            yield table, [_row(table, person, number, text) for (number, person), text in rows if text]

    def _of_the_store(self) -> Iterator[tuple[str, Sequence[Row]]]:
        ask = self._connections.ask
        settings: Any = ask(lambda client: client.hgetall("tb:settings"))
        yield "settings", [{"name": name, "value": value} for name, value in settings.items()]
        erasures: Any = ask(lambda client: client.zrange("tb:erasures", 0, -1))
        split = (one.split(":") for one in erasures)
        yield "erasures", [{"mark": mark, "moment": int(at), "receipt": receipt} for mark, at, receipt in split]
        events: Any = ask(lambda client: client.zrange("tb:erased_events", 0, -1, withscores=True))
        yield "erased_events", [{"mark": mark, "moment": int(at)} for mark, at in events]
        receipts: Any = ask(lambda client: client.hgetall("tb:receipts"))
        yield (
            "receipts",
            [{"id": one, **dict(zip(RECEIPT, json.loads(text), strict=True))} for one, text in receipts.items()],
        )
        exports: Any = ask(lambda client: client.hgetall("tb:exports"))
        names = ("folder", "moment", "events", "served")
        yield (
            "log_exports",
            [dict(zip(names, (folder, *json.loads(text)), strict=True)) for folder, text in exports.items()],
        )
        keys = [(int(place), key_id, *json.loads(text)) for key_id, place, text in self._connections.read("keys")]
        yield "access_keys", [dict(zip(ACCESS_KEY, key, strict=True)) for key in keys]
        yield from self._paged("audit", self._audit)
        yield from self._paged("item_changes", self._items)

    def _paged(self, table: str, page: Callable[[int], list[Row]]) -> Iterator[tuple[str, Sequence[Row]]]:
        number = 0
        while rows := page(number):
            yield table, rows
            number = int(rows[-1]["number"])

    def _audit(self, number: int) -> list[Row]:
        found: Any = self._connections.ask(
            lambda client: client.xrange("tb:audit", min=f"{number + 1}-0", max="+", count=ROWS_AT_ONCE)
        )
        return [
            {"number": int(name.partition("-")[0]), **dict(zip(AUDIT, json.loads(fields["entry"]), strict=True))}
            for name, fields in found
        ]

    def _items(self, number: int) -> list[Row]:
        found = self._connections.read("items_after", number, ROWS_AT_ONCE)
        changes = [(item_id, int(at), *json.loads(text)) for item_id, at, text in found]
        return [dict(zip(("item_id", "number", "attributes", "moment"), one, strict=True)) for one in changes]


def parts(rows: Sequence[T], count: int) -> Iterator[list[T]]:
    """Some rows at a time."""
    rest = iter(rows)
    while some := list(islice(rest, count)):
        yield some


def _row(table: str, person: Any, field: Any, value: str) -> Row:
    """A row of a person from a field of their hash."""
    key, columns = TABLES[table]
    fields = [int(field)] if key == ("number",) else json.loads(field)
    values = dict(zip(columns, json.loads(value), strict=True))
    if table == "events" and values["value"] is not None:
        values["value"] = float(values["value"])
    whose = None if str(person) == NOBODY else int(person)
    return {"person": whose, **dict(zip(key, fields, strict=True)), **values}


def _field(table: str, row: Row) -> tuple[Any, str, str]:
    """Person, field and value of a row."""
    key, columns = TABLES[table]
    field = str(row["number"]) if key == ("number",) else packed([row[name] for name in key])
    return NOBODY if row["person"] is None else row["person"], field, packed([row[name] for name in columns])


def _writing(table: str, rows: Sequence[Row]) -> tuple[Any, ...]:
    """The script that stores rows of a table, and its arguments."""
    if table in PERSONAL:
        return "put_rows", table, *chain.from_iterable(_field(table, row) for row in rows)
    if table in LOGGED:
        return "put_logged", table, *chain.from_iterable(_logged(table, row) for row in rows)
    script = "put_counters" if table == "event_exports" else f"put_{table}"
    return script, *chain.from_iterable(_arguments(table, row) for row in rows)


def _logged(table: str, row: Row) -> tuple[Any, ...]:
    person, number, text = _field(table, row)
    return person, number, row[TABLES[table].columns[0]], text


def _arguments(table: str, row: Row) -> tuple[Any, ...]:
    match table:
        case "counters":
            return COUNTER_KEYS[row["name"]], row["number"]
        case "event_exports":
            return "tb:exported", row["number"]
        case "events":
            return _logged(table, row)
        case "log_exports":
            return row["folder"], packed((row["moment"], row["events"], row["served"]))
        case "audit":
            return row["number"], packed([row[name] for name in AUDIT])
        case "item_changes":
            return row["item_id"], row["number"], packed((row["attributes"], row["moment"]))
        case "access_keys":
            return row["key_id"], row["number"], packed([row[name] for name in ACCESS_KEY[2:]])
        case "receipts":
            text = packed([row[name] for name in RECEIPT])
            return row["id"], text, int(row["ids"] is not None)
        case _:
            return tuple(row[name] for name in _COLUMNS[table])

"""The `State` of several machines: each write is one script, so that a person's events, what they took and the marks
by which a repeat is known change together."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import Any

from features.errors import RequestError, StateError
from features.person import RECENT_EVENTS, Person
from features.statements import Statement
from serving.state.audit_log import Deed
from serving.state.places import RedisPlace
from serving.state.protocol import Loaded, Outcome, StoredEvent, UserAttributes
from serving.state.redis import rows
from serving.state.redis.audit_log import NotingConnections, RedisAuditLog
from serving.state.redis.connections import Calls, Connections
from serving.state.redis.durability import may_lose
from serving.state.redis.erasures import RedisErasures
from serving.state.redis.facts import RedisFacts
from serving.state.redis.marks import Marks
from serving.state.sqlite_schema import STATIC

EVENTS_AT_ONCE = 1_000
"""Events of a bulk load in one script: longer ones would hold up those who read (about 10 ms)."""
VALUES_AT_ONCE = 10_000
IDS_AT_ONCE = 10_000
_OUTCOMES: dict[int, Outcome] = {1: "stored", 0: "duplicate", -1: "erased"}
_EXPORTED = ("attributes", "statements", "events", "taken")
"""Tables in the order in which `rows.exported` reads them."""


class RedisState(RedisErasures, RedisFacts):
    """A `State` in one database of a Redis or Valkey server."""

    def __init__(self, place: RedisPlace, patience: float = 10.0, read_patience: float | None = None) -> None:
        """Open or make the store, with the patience that `Connections` has, in seconds."""
        self._patience = patience
        self._plain = Connections(place, patience, read_patience)
        self._connections: Calls = self._plain
        self._marks = Marks()

    def audited(self, deed: Deed) -> "RedisState":
        other = copy(self)
        other._connections = NotingConnections(self._plain, deed)
        return other

    @property
    def audit_log(self) -> RedisAuditLog:
        return RedisAuditLog(self._plain)

    def append(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        if not events:
            return []
        whose = [_somebody(event.user_id, event.anonymous_id) for event in events]

        def arguments() -> Iterator[Any]:
            for event, somebody in zip(events, whose, strict=True):
                yield from (*somebody, self._marks.of_somebody(*somebody))
                yield from (event.event_id, self._marks.of("event", event.event_id))
                yield from (event.item_id, event.type, event.moment, rows.event_row(event))

        return [_OUTCOMES[one] for one in self._marks.write(self._connections, "append", arguments)]

    def load(self, events: Iterable[StoredEvent], batch: int = EVENTS_AT_ONCE) -> Loaded:
        stored = total = 0
        rest = iter(events)
        while some := list(islice(rest, min(batch, EVENTS_AT_ONCE))):
            stored += self.append(some).count("stored")
            total += len(some)
        return Loaded(stored, total - stored)

    def person(
        self,
        user_id: str | None,
        anonymous_id: str | None = None,
        *,
        newest: int = RECENT_EVENTS,
        without: Collection[str] = (),
    ) -> Person:
        ids = rows.perhaps(user_id), rows.perhaps(anonymous_id)
        return rows.person_of(self._connections.read("person", *ids, newest, *without), newest, without)

    def known(self, event_ids: Collection[str]) -> set[str]:
        if not event_ids:
            return set()
        marks = self._connections.ask(lambda client: client.mget([f"tb:e:{one}" for one in event_ids]))
        return {one for one, mark in zip(event_ids, marks, strict=True) if mark is not None}

    def set_attributes(self, attributes: Iterable[UserAttributes]) -> int:
        values = ((one.user_id, one.moment, name, value) for one in attributes for name, value in one.values.items())
        count = 0
        while some := list(islice(values, VALUES_AT_ONCE)):
            count += self._set(some)
        return count

    def _set(self, values: Sequence[tuple[str, int | None, str, Any]]) -> int:
        def arguments() -> Iterator[Any]:
            for user_id, moment, name, value in values:
                yield from (user_id, self._marks.of("user", user_id), "" if moment is None else moment)
                yield from (rows.packed((name, STATIC if moment is None else moment)), rows.packed(value))

        return int(self._marks.write(self._connections, "set_attributes", arguments))

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        somebody = _somebody(user_id, anonymous_id)
        said = [part for one in statements for part in (one.moment, rows.statement_row(one))]

        def arguments() -> Iterator[Any]:
            yield from (*somebody, self._marks.of_somebody(*somebody), *said)

        return int(self._marks.write(self._connections, "declare", arguments))

    def statements(self, user_id: str | None, anonymous_id: str | None = None) -> list[Statement]:
        return rows.statements_of(each for _, each in self._rows(user_id, anonymous_id, "statements"))

    def link(self, anonymous_id: str, user_id: str) -> bool:
        def arguments() -> Iterator[str]:
            yield from (anonymous_id, self._marks.of("visitor", anonymous_id))
            yield from (user_id, self._marks.of("user", user_id))

        linked = self._marks.write(self._connections, "link", arguments)
        if linked < 0:
            raise RequestError(
                "this visitor has become another user already",
                field="anonymous_id",
                hint="Give each visit after a logout an anonymous id of its own.",
            )
        return bool(linked)

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        return rows.exported(self._rows(user_id, anonymous_id, *_EXPORTED))

    def user_ids(self) -> Iterator[str]:
        last: str | None = None
        while page := self._connections.read("users", rows.perhaps(last), IDS_AT_ONCE):
            last, *users = page
            yield from users

    def newest_event(self) -> int | None:
        moment = self._connections.read("newest_event")
        return None if moment is None else int(float(moment))

    def check(self) -> None:
        self._connections.ask(lambda client: client.ping())

    def may_lose(self) -> str | None:
        return self._connections.ask(may_lose)

    def close(self) -> None:
        self._connections.close()

    def _rows(self, user_id: str | None, anonymous_id: str | None, *tables: str) -> list[Any]:
        found: list[Any] = self._connections.read("rows", rows.perhaps(user_id), rows.perhaps(anonymous_id), *tables)
        return found


def _somebody(user_id: str | None, anonymous_id: str | None) -> tuple[str, str]:
    whose = rows.whose(user_id, anonymous_id)
    if whose is None:
        raise StateError("an event or attribute belongs to nobody: it has no id of a user or visitor")
    return whose

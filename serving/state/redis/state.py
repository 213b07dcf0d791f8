"""The `State` of several machines: each write is one script, so that a person's events, what they took and the marks
by which a repeat is known change together."""

from collections.abc import Collection, Iterator, Sequence
from copy import copy
from typing import Any

from features.joining import joined
from features.person import RECENT_EVENTS, Person
from features.statements import Statement
from serving.state.audit_log import Deed
from serving.state.places import RedisPlace
from serving.state.redis import rows
from serving.state.redis.audit_log import NotingConnections, RedisAuditLog
from serving.state.redis.connections import Calls, Connections
from serving.state.redis.durability import may_lose
from serving.state.redis.erasures import RedisErasures
from serving.state.redis.facts import RedisFacts
from serving.state.redis.marks import Marks
from serving.state.redis.person_logs import RedisDeadLetters, RedisServedLog
from serving.state.redis.writes import RedisWrites

IDS_AT_ONCE = 10_000


class RedisState(RedisWrites, RedisErasures, RedisFacts):
    """A `State` in one database of a Redis or Valkey server."""

    def __init__(self, place: RedisPlace, patience: float = 10.0, read_patience: float | None = None) -> None:
        """Open or make the store, with the patience that `Connections` has, in seconds."""
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

    @property
    def dead_letters(self) -> RedisDeadLetters:
        return RedisDeadLetters(self._connections, self._marks)

    @property
    def served_log(self) -> RedisServedLog:
        return RedisServedLog(self._connections, self._marks)

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

    def user_of(self, anonymous_id: str) -> str | None:
        for (ids,) in self._rows(None, anonymous_id):
            return rows.first_user(ids)
        return None

    def known(self, event_ids: Collection[str]) -> set[str]:
        if not event_ids:
            return set()
        marks = self._connections.ask(lambda client: client.mget([f"tb:e:{one}" for one in event_ids]))
        return {one for one, mark in zip(event_ids, marks, strict=True) if mark is not None}

    def statements(self, user_id: str | None, anonymous_id: str | None = None) -> list[Statement]:
        each = [rows.statements_of([flat]) for _, flat in self._rows(user_id, anonymous_id, "statements")]
        return joined(*each) if len(each) == 2 else [one for statements in each for one in statements]

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        return rows.exported(self._rows(user_id, anonymous_id, *rows.EXPORTED))

    def user_ids(self) -> Iterator[str]:
        last: str | None = None
        while page := self._connections.read("users", rows.perhaps(last), IDS_AT_ONCE):
            last, *users = page
            yield from users

    def newest_event(self) -> int | None:
        moment = self._connections.read("newest_event")
        return None if moment is None else int(float(moment))

    def written(self, ids: Sequence[str]) -> list[str]:
        return list(ids)

    def check(self) -> None:
        self._connections.ask(lambda client: client.ping())

    def may_lose(self) -> str | None:
        return self._connections.ask(may_lose)

    def close(self) -> None:
        self._connections.close()

    def _rows(self, user_id: str | None, anonymous_id: str | None, *tables: str) -> list[Any]:
        found: list[Any] = self._connections.read("rows", rows.perhaps(user_id), rows.perhaps(anonymous_id), *tables)
        return found

"""Single facts in the Redis store: read with their ids, removed one by one, or for being too old."""

from collections.abc import Collection
from itertools import chain
from typing import Any

from serving.state.facts import Expiring, KeptFrom
from serving.state.protocol import StoredEvent
from serving.state.redis.connections import Calls
from serving.state.redis.marks import Marks
from serving.state.redis.person_logs import PersonLog
from serving.state.redis.rows import newest_rows, perhaps, statements_of
from serving.state.redis.tables import LOGGED, TABLES

PEOPLE_AT_ONCE = 200
"""People that one script looks through for what is too old: more would hold up those who read."""

ALL_EVENTS = 2**31
"""More events than one person has."""


class RedisFacts:
    """The part of the store that removes single facts; it stands on the store's connections."""

    _connections: Calls
    _marks: Marks

    def history(self, user_id: str | None, anonymous_id: str | None = None, *, newest: int) -> list[StoredEvent]:
        _, *persons = self._connections.read("person", perhaps(user_id), perhaps(anonymous_id), newest)
        anonymous_id = anonymous_id if user_id is None else None
        return [
            StoredEvent(event_id, item_id, kind, moment, user_id, anonymous_id, value, context, request_id, details)
            for event_id, item_id, kind, moment, value, context, request_id, details in newest_rows(persons, newest)
        ]

    def remove_event(self, user_id: str | None, anonymous_id: str | None, event_id: str, *, moment: int) -> bool:
        self._marks.settle(self._connections)
        mark = self._marks.of("event", event_id)
        ids = perhaps(user_id), perhaps(anonymous_id)
        return bool(self._connections.write("remove_event", *ids, event_id, mark, moment))

    def forget_events(
        self, user_id: str | None, anonymous_id: str | None, keep: Collection[str], *, moment: int
    ) -> int:
        self._marks.settle(self._connections)
        past = self.history(user_id, anonymous_id, newest=ALL_EVENTS)
        gone = [one.event_id for one in past if one.type not in keep]
        marked = (part for event_id in gone for part in (event_id, self._marks.of("event", event_id)))
        return int(self._connections.write("forget_events", perhaps(user_id), perhaps(anonymous_id), moment, *marked))

    def remove_attributes(self, user_id: str, names: Collection[str]) -> int:
        return int(self._connections.write("remove_attributes", user_id, *names))

    def expire(self, kind: Expiring, before: int, limit: int, types: Collection[str] = ()) -> int:
        """As the protocol says, but that each transaction holds some people, and a call many of these."""
        if kind == "erased_events":
            return int(self._connections.write("expire_erased_events", before, limit))
        if kind in LOGGED:
            return self._expire_rows(kind, before, limit)
        first = gone = 0
        while gone < limit:
            some = (first, PEOPLE_AT_ONCE, before, limit - gone, *(types if kind == "events" else ()))
            people, removed = self._connections.write(f"expire_{kind}", *some)
            gone += removed
            if people < PEOPLE_AT_ONCE:
                break
            first += people if not removed else 0  # whoever is forgotten makes room for others at these places
        return gone

    def expire_unneeded(self, before: int, kept_from: KeptFrom, place: int, people: int) -> tuple[int, int | None]:
        """As the protocol says, but that somebody's statements are read just before their events go."""
        found: Any = self._connections.ask(lambda client: client.zrange("tb:people", 0, -1))
        some = sorted(int(one) for one in found if int(one) > place)[:people]
        said = self._connections.read("people", 1, "statements", *some) if some else []
        limits = [kept_from(statements_of([flat])) for _, flat in said]
        pairs = [(one, min(limit, before)) for one, limit in zip(some, limits, strict=True) if limit is not None]
        gone = int(self._connections.write("expire_unneeded", *chain(*pairs))) if pairs else 0
        return gone, some[-1] if len(some) == people else None

    def _expire_rows(self, table: str, before: int, limit: int) -> int:
        """A log is looked through from its beginning; that of answers, which are in order, no further than needed."""
        log, number, gone = PersonLog(table, self._connections, self._marks), 0, 0
        moment = TABLES[table].columns.index("moment")
        while gone < limit and (rows := log.after(number, PEOPLE_AT_ONCE)):
            number = rows[-1][0]
            old = [at for at, row, *_ in rows if row[moment] < before][: limit - gone]
            if not old and table == "served":
                break
            gone += int(self._connections.write("expire_rows", table, *old)) if old else 0
        return gone

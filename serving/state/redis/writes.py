"""What the Redis store is told of people: each write is one script, which first looks whether what was decided about
them in this process still holds, and changes nothing when it does not."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from features.errors import RequestError, StateError
from features.joining import settled
from features.statements import Statement
from serving.state.protocol import Admit, Loaded, Outcome, StoredEvent, UserAttributes, UserStatement, everyone
from serving.state.redis import rows
from serving.state.redis.connections import Calls
from serving.state.redis.marks import Marks
from serving.state.sqlite_schema import STATIC

EVENTS_AT_ONCE = 1_000
"""Events of a bulk load in one script: longer ones would hold up those who read (about 10 ms)."""
VALUES_AT_ONCE = 10_000
_OUTCOMES: dict[int, Outcome] = {1: "stored", 0: "duplicate", -1: "erased", -4: "not_stored"}


class Standing(NamedTuple):
    """What a person has said, as it was read."""

    token: str
    """What a script compares: the person and the statements that they have."""
    limit: int | None
    """Up to which moment nothing of theirs is taken."""
    statements: list[Statement]


class RedisWrites:
    """The part of the store that writes; it stands on the store's connections."""

    _connections: Calls
    _marks: Marks

    def append(self, events: Sequence[StoredEvent], admit: Admit = everyone) -> list[Outcome]:
        if not events:
            return []
        people, places = _people(_somebody(event.user_id, event.anonymous_id) for event in events)

        def arguments() -> Iterator[Any]:
            yield from self._asked(people, admit)
            for event, place in zip(events, places, strict=True):
                yield from (place, event.event_id, self._marks.of("event", event.event_id))
                yield from (event.item_id, event.type, event.moment, rows.event_row(event))

        return [_OUTCOMES[one] for one in self._marks.write(self._connections, "append", arguments)]

    def load(self, events: Iterable[StoredEvent], batch: int = EVENTS_AT_ONCE, admit: Admit = everyone) -> Loaded:
        stored = duplicates = total = 0
        rest = iter(events)
        while some := list(islice(rest, min(batch, EVENTS_AT_ONCE))):
            outcomes = self.append(some, admit)
            stored += outcomes.count("stored")
            duplicates += outcomes.count("duplicate")
            total += len(some)
        return Loaded(stored, duplicates, total - stored - duplicates)

    def set_attributes(self, attributes: Iterable[UserAttributes], admit: Admit = everyone) -> int:
        values = ((one.user_id, one.moment, name, value) for one in attributes for name, value in one.values.items())
        count = 0
        while some := list(islice(values, VALUES_AT_ONCE)):
            count += self._set(some, admit)
        return count

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        somebody = _somebody(user_id, anonymous_id)
        said = [part for one in statements for part in (one.moment, rows.statement_row(one))]

        def arguments() -> Iterator[Any]:
            yield from (*somebody, self._marks.of_somebody(*somebody), *said)

        return int(self._marks.write(self._connections, "declare", arguments))

    def load_statements(self, statements: Iterable[UserStatement], batch: int = VALUES_AT_ONCE) -> int:
        new, rest = 0, iter(statements)
        while some := list(islice(rest, min(batch, VALUES_AT_ONCE))):
            said = (part for user_id, one in some for part in (user_id, rows.statement_row(one)))
            new += int(self._connections.write("load_statements", *said))
        return new

    def link(self, anonymous_id: str, user_id: str) -> bool:
        people = [("0", user_id), ("1", anonymous_id)]

        def arguments() -> Iterator[Any]:
            user, visitor = (standing for _, standing in self._standings(people))
            kept = [one for one in visitor.statements if user.limit is None or one.moment > user.limit]
            yield 2
            for somebody, standing in zip(people, (user, visitor), strict=True):
                yield from (*somebody, self._marks.of_somebody(*somebody), standing.token, 1)
            if visitor.token != _NOBODY:
                yield from (rows.statement_row(one) for one in settled(user.statements, kept))

        linked = self._marks.write(self._connections, "link", arguments)
        if linked < 0:
            raise RequestError(
                "this visitor has become another user already",
                field="anonymous_id",
                hint="Give each visit after a logout an anonymous id of its own.",
            )
        return bool(linked)

    def _set(self, values: Sequence[tuple[str, int | None, str, Any]], admit: Admit) -> int:
        people, places = _people(("0", user_id) for user_id, *_ in values)

        def arguments() -> Iterator[Any]:
            yield from self._asked(people, admit)
            for (_, moment, name, value), place in zip(values, places, strict=True):
                yield from (place, "" if moment is None else moment)
                yield from (rows.packed((name, STATIC if moment is None else moment)), rows.packed((value,)))

        return int(self._marks.write(self._connections, "set_attributes", arguments))

    def _asked(self, people: Sequence[tuple[str, str]], admit: Admit) -> Iterator[Any]:
        """People as `people_at` of the scripts has them: who is admitted, given what they have said."""
        yield len(people)
        if admit is everyone:
            for somebody in people:
                yield from (*somebody, self._marks.of_somebody(*somebody), "*", 1)
            return
        for somebody, standing in self._standings(people):
            admitted = int(admit(standing.statements))
            yield from (*somebody, self._marks.of_somebody(*somebody), standing.token, admitted)

    def _standings(self, people: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, str], Standing]]:
        asked = (part for one in people for part in (*one, self._marks.of_somebody(*one)))
        found = [
            Standing(token, int(limit) if limit else None, rows.statements_of([flat]))
            for token, limit, flat in self._connections.read("standing", *asked)
        ]
        return list(zip(people, found, strict=True))


_NOBODY = "nobody"
"""The token of whoever is not known."""


def _people(each: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[int]]:
    """Everybody once, and for each entry the place of its person, from 1."""
    places: dict[tuple[str, str], int] = {}
    order = [places.setdefault(one, len(places) + 1) for one in each]
    return list(places), order


def _somebody(user_id: str | None, anonymous_id: str | None) -> tuple[str, str]:
    whose = rows.whose(user_id, anonymous_id)
    if whose is None:
        raise StateError("an event or attribute belongs to nobody: it has no id of a user or visitor")
    return whose

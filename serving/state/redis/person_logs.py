"""Logs whose rows are their people's, or nobody's: what was served and what was refused, each row once.

A row lies with its person like an event; a stream says whose each number is, and a key whose each row is by what tells
it from others. Rows of nobody lie with person 0, who has no id.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from features.joining import joined
from serving.state.dead_letters import DeadLetter, Refused
from serving.state.protocol import Admit, everyone
from serving.state.redis.connections import Calls
from serving.state.redis.marks import Marks
from serving.state.redis.rows import packed, perhaps, statements_of
from serving.state.served_log import LogExport, LoggedAnswer, ServedItem, ServedRow

_IN_ANSWER = ("answered_for", "placement", "items", "bundle", "policy", "seen", "query", "propensity")
"""Fields of an answer's row that lie in its JSON."""


class Kept(NamedTuple):
    """A row that is to be kept, and whose it is."""

    user_id: str | None
    anonymous_id: str | None
    event_id: str | None
    """An event that must not have been erased."""
    moment: int
    row: Sequence[Any]
    """Its columns, of which the first tells it from others."""


class PersonLog:
    """One such log, on the connections of a store."""

    def __init__(self, table: str, calls: Calls, marks: Marks) -> None:
        """The connections stay whose they are."""
        self._table = table
        self._calls = calls
        self._marks = marks

    def add(self, rows: Sequence[Kept], admit: Admit) -> int:
        """Keep what is not there yet, and of whom `admit` does not refuse; how many are new."""
        if not rows:
            return 0

        def arguments() -> Iterator[Any]:
            yield self._table
            people, kept = self._people(rows, admit)
            places = {one: place for place, (one, _) in enumerate(people, start=1)}
            yield len(people)
            for one, token in people:
                yield from (*one, self._marks.of_somebody(*one), token, 1)
            for row in kept:
                user, visitor = places.get(("0", row.user_id or ""), 0), places.get(("1", row.anonymous_id or ""), 0)
                mark = "" if row.event_id is None else self._marks.of("event", row.event_id)
                yield from (user or visitor, visitor if user else 0, row.row[0], mark, row.moment, packed(row.row))

        return int(self._marks.write(self._calls, "add_rows", arguments))

    def after(self, number: int, limit: int) -> list[tuple[int, list[Any], str | None, str | None]]:
        """Number, columns, user and visitor of the first rows with larger numbers."""
        return [_read(*one) for one in self._calls.read("rows_after", self._table, number, limit)]

    def find(
        self, name: str, user_id: str | None, anonymous_id: str | None
    ) -> tuple[int, list[Any], str | None, str | None] | None:
        """The row of a name, if it is this person's or nobody's."""
        found = self._calls.read("find_row", self._table, name, perhaps(user_id), perhaps(anonymous_id))
        return _read(*found) if found else None

    def drop(self, numbers: Collection[int]) -> int:
        """Remove some; how many were there."""
        return int(self._calls.write("drop_rows", self._table, *numbers)) if numbers else 0

    def _people(self, rows: Sequence[Kept], admit: Admit) -> tuple[list[tuple[tuple[str, str], str]], list[Kept]]:
        """Everybody with what was decided on, and the rows that are admitted. Who is nobody is not asked about."""
        somebody = dict.fromkeys((number, one) for row in rows for number, one in _ids(row))
        if admit is everyone:
            return [(one, "*") for one in somebody], list(rows)
        asked = (part for one in somebody for part in (*one, ""))
        tokens = [token for token, *_ in self._calls.read("standing", *asked)]
        return list(zip(somebody, tokens, strict=True)), [row for row in rows if self._admitted(row, admit)]

    def _admitted(self, row: Kept, admit: Admit) -> bool:
        if row.user_id is None and row.anonymous_id is None:
            return True
        ids = perhaps(row.user_id), perhaps(row.anonymous_id)
        each = [statements_of([flat]) for _, flat in self._calls.read("rows", *ids, "statements")]
        return admit(joined(*each) if len(each) == 2 else [one for said in each for one in said])


class RedisDeadLetters:
    """`DeadLetters` in the Redis store."""

    def __init__(self, calls: Calls, marks: Marks) -> None:
        """The connections stay whose they are."""
        self._log = PersonLog("dead_letters", calls, marks)

    def keep(self, letters: Sequence[Refused], admit: Admit = everyone) -> int:
        return self._log.add([_letter_row(letter) for letter in letters], admit)

    def after(self, number: int, limit: int) -> list[DeadLetter]:
        found = []
        for at, (_, content, moment, field, message), user_id, anonymous_id in self._log.after(number, limit):
            whose = (user_id, anonymous_id if user_id is None else None)
            found.append(DeadLetter(at, Refused(content, moment, message, field, *whose)))
        return found

    def drop(self, numbers: Collection[int]) -> int:
        return self._log.drop(numbers)


class RedisServedLog:
    """A `ServedLog` in the Redis store."""

    def __init__(self, calls: Calls, marks: Marks) -> None:
        """The connections stay whose they are."""
        self._calls = calls
        self._log = PersonLog("served", calls, marks)

    def add(self, rows: Sequence[ServedRow], admit: Admit = everyone) -> int:
        return self._log.add([_served_row(row) for row in rows], admit)

    def find(self, request_id: str, user_id: str | None, anonymous_id: str | None = None) -> ServedRow | None:
        found = self._log.find(request_id, user_id, anonymous_id)
        return None if found is None else _logged(*found).row

    def after(self, number: int, limit: int) -> list[LoggedAnswer]:
        return [_logged(*one) for one in self._log.after(number, limit)]

    def newest(self) -> int:
        return int(self._calls.ask(lambda client: client.get("tb:number")) or 0)

    def note_export(self, export: LogExport) -> None:
        self._calls.write("note_export", export.folder, packed(export[1:]))

    def exports(self) -> list[LogExport]:
        found: Any = self._calls.ask(lambda client: client.hgetall("tb:exports"))
        return sorted(LogExport(folder, *json.loads(text)) for folder, text in found.items())


def _ids(row: Kept) -> Iterator[tuple[str, str]]:
    if row.user_id is not None:
        yield "0", row.user_id
    if row.anonymous_id is not None:
        yield "1", row.anonymous_id


def _read(number: str, row: str, user: str, visitor: str) -> tuple[int, list[Any], str | None, str | None]:
    return int(number), json.loads(row), user[1:] or None if user else None, visitor[1:] or None if visitor else None


def _letter_row(letter: Refused) -> Kept:
    event_id = letter.content.get("event_id") if isinstance(letter.content, dict) else None
    digest = sha256(json.dumps(letter.content, sort_keys=True).encode()).hexdigest()
    row = (digest, letter.content, letter.moment, letter.field, letter.message)
    named = letter.user_id is not None or letter.anonymous_id is not None
    known = event_id if named and isinstance(event_id, str) else None
    return Kept(letter.user_id, letter.anonymous_id, known, letter.moment, row)


def _served_row(row: ServedRow) -> Kept:
    answer = {name: getattr(row, name) for name in _IN_ANSWER}
    return Kept(row.user_id, row.anonymous_id, None, row.moment, (row.request_id, row.moment, answer))


def _logged(number: int, row: Sequence[Any], user_id: str | None, anonymous_id: str | None) -> LoggedAnswer:
    request_id, moment, answer = row
    answer["items"] = tuple(ServedItem(*item) for item in answer["items"])
    return LoggedAnswer(number, ServedRow(request_id, user_id, anonymous_id, moment, **answer))

"""Whom an outside id stands for in the SQLite store, new people made as they come, within one transaction."""

import sqlite3

from features.errors import StateError
from serving.state.protocol import Admit, everyone
from serving.state.sqlite_reads import person_of, read_statements


class Persons:
    """The persons of outside ids, new ones made, within one transaction."""

    def __init__(self, connection: sqlite3.Connection, admit: Admit = everyone) -> None:
        """Of whom `admit` refuses, given all their statements, `admitted` makes nobody."""
        self._connection = connection
        self._admit = admit
        self._seen: dict[tuple[bool, str], int] = {}
        self._refused: set[tuple[bool, str]] = set()

    def admitted(self, user_id: str | None, anonymous_id: str | None = None) -> int | None:
        """The person, unless nothing may be stored of them; of who is refused there is no new id either."""
        return self.of(user_id, anonymous_id) if self.admits(user_id, anonymous_id) else None

    def admits(self, user_id: str | None, anonymous_id: str | None = None) -> bool:
        """Whether anything may be stored of the person."""
        key = _key(user_id, anonymous_id)
        if self._admit is not everyone and key not in self._seen and key not in self._refused:
            person = person_of(self._connection, anonymous=key[0], outside_id=key[1])
            said = [] if person is None else read_statements(self._connection, [person])
            if not self._admit(said):
                self._refused.add(key)
        return key not in self._refused

    def of(self, user_id: str | None, anonymous_id: str | None = None) -> int:
        """The person. Raises `StateError` when there is no id at all."""
        key = _key(user_id, anonymous_id)
        if key not in self._seen:
            person = person_of(self._connection, anonymous=key[0], outside_id=key[1])
            self._seen[key] = self._new(*key) if person is None else person
        return self._seen[key]

    def _new(self, anonymous: bool, outside_id: str) -> int:
        row = self._connection.execute(
            "INSERT INTO ids SELECT ifnull(max(person), 0) + 1, ?, ? FROM ids RETURNING person",
            (anonymous, outside_id),
        ).fetchone()
        return int(row[0])


def _key(user_id: str | None, anonymous_id: str | None) -> tuple[bool, str]:
    """(whether it is a visitor's, outside id)."""
    anonymous, outside_id = (False, user_id) if user_id is not None else (True, anonymous_id)
    if outside_id is None:
        raise StateError("an event or attribute belongs to nobody: it has no id of a user or visitor")
    return anonymous, outside_id

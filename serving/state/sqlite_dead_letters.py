"""Refused events in the SQLite store: rows of their people, or of nobody."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any

from serving.state.dead_letters import DeadLetter, Refused
from serving.state.protocol import Admit, everyone
from serving.state.sqlite_connections import Transactions
from serving.state.sqlite_erasures import Gate
from serving.state.sqlite_persons import Persons
from serving.state.sqlite_reads import OUTSIDE_IDS

_KEEP = """
INSERT INTO dead_letters (person, digest, content, moment, field, message) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO NOTHING
"""
_AFTER = f"""
SELECT number, content, moment, field, message, {OUTSIDE_IDS.format(table="dead_letters")}
FROM dead_letters WHERE number > ? ORDER BY number LIMIT ?
"""


class SqliteDeadLetters:
    """`DeadLetters` on the connections of a store."""

    def __init__(self, connections: Transactions) -> None:
        """The connections stay whose they are."""
        self._connections = connections

    def keep(self, letters: Sequence[Refused], admit: Admit = everyone) -> int:
        with self._connections.writing() as connection:
            gate, persons = Gate(connection), Persons(connection, admit)
            return sum(_keep(connection, persons, letter) for letter in letters if _allowed(gate, letter))

    def after(self, number: int, limit: int) -> list[DeadLetter]:
        with self._connections.reading() as connection:
            rows = connection.execute(_AFTER, (number, limit)).fetchall()
        return [_letter(*row) for row in rows]

    def drop(self, numbers: Collection[int]) -> int:
        with self._connections.writing() as connection:
            rows = [(number,) for number in numbers]
            return connection.executemany("DELETE FROM dead_letters WHERE number = ?", rows).rowcount if rows else 0


def _allowed(gate: Gate, letter: Refused) -> bool:
    """Whether no erasure forbids the event to come back."""
    if letter.user_id is None and letter.anonymous_id is None:
        return True
    event_id = letter.content.get("event_id")
    again = isinstance(event_id, str) and not gate.admits_event(event_id)
    return not again and gate.admits(letter.moment, letter.user_id, letter.anonymous_id)


def _keep(connection: sqlite3.Connection, persons: Persons, letter: Refused) -> int:
    person = None
    if letter.user_id is not None or letter.anonymous_id is not None:
        person = persons.admitted(letter.user_id, letter.anonymous_id)
        if person is None:
            return 0
    content = json.dumps(letter.content, sort_keys=True)
    digest = sha256(content.encode()).hexdigest()
    row = (person, digest, content, letter.moment, letter.field, letter.message)
    return connection.execute(_KEEP, row).rowcount


def _letter(number: int, content: str, *row: Any) -> DeadLetter:
    moment, field, message, user_id, anonymous_id = row
    whose = (user_id, anonymous_id if user_id is None else None)
    return DeadLetter(number, Refused(json.loads(content), moment, message, field, *whose))

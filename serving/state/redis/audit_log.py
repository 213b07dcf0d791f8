"""The audit log in the Redis store: a stream, whose numbers only grow, written in the script of the change it notes.

Marks are made here, because a script can make none; the script refuses them when anything has changed meanwhile, and
they are made again. Against whoever may send the server any command, only its own access rules protect the stream.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from features.errors import StateError
from serving.state.audit_log import ENTRIES_AT_ONCE, Deed, Entry, mark_of
from serving.state.redis.connections import Connections
from serving.state.redis.rows import packed, pairs, perhaps, unpacked

T = TypeVar("T")
TRIES = 100
REFUSED = -1
"""What a script returns that changed nothing, because it may not."""


class RedisAuditLog:
    """An `AuditLog` on the connections of a store."""

    def __init__(self, connections: Connections) -> None:
        """The connections stay whose they are."""
        self._connections = connections

    def note(self, deed: Deed) -> None:
        NotingConnections(self._connections, deed).write("nothing")

    def after(self, number: int, limit: int = ENTRIES_AT_ONCE) -> list[Entry]:
        entries: Any = self._connections.ask(
            lambda client: client.xrange("tb:audit", min=f"{number + 1}-0", max="+", count=limit)
        )
        return [_entry(int(name.partition("-")[0]), fields["entry"]) for name, fields in entries]

    def keys(self, user_id: str | None, anonymous_id: str | None = None) -> list[bytes]:
        persons = self._connections.read("rows", perhaps(user_id), perhaps(anonymous_id), "audit_keys")
        found = []
        for _, flat in persons:
            numbers, texts = pairs(flat)
            newest_first = sorted(zip(map(int, numbers), unpacked(texts), strict=True), reverse=True)
            found += [bytes.fromhex(key) for _, (key,) in newest_first]
        return found


class NotingConnections:
    """The connections of a store whose first script that changes something notes a deed too."""

    def __init__(self, connections: Connections, deed: Deed) -> None:
        """The connections stay whose they are."""
        self._connections = connections
        self._deed = deed

    def write(self, script: str, *arguments: Any) -> Any:
        """What the script returns; what it does and the deed are stored together."""
        if self._deed.noted:
            return self._connections.write(script, *arguments)
        ids = [perhaps(one) for person in self._deed.people for one in person]
        for _ in range(TRIES):
            newest, *persons = self._connections.read("audit_standing", *ids)
            entries = (newest, *_entries(self._deed, int(newest), persons))
            done, *result = self._connections.write_noting(script, arguments, entries)
            if done:
                returned = result[0] if result else None
                self._deed.noted = returned != REFUSED
                return returned
        raise StateError("the store did not answer: others write its audit log all the time", field="state")

    def read(self, script: str, *arguments: Any) -> Any:
        """As without a deed."""
        return self._connections.read(script, *arguments)

    def ask(self, question: Callable[[Any], T]) -> T:
        """As without a deed."""
        return self._connections.ask(question)

    def ask_patiently(self, question: Callable[[Any], T]) -> T:
        """As without a deed."""
        return self._connections.ask_patiently(question)

    def close(self) -> None:
        """Give back the connections."""
        self._connections.close()


def _entries(deed: Deed, newest: int, persons: list[list[tuple[str, str]]]) -> Iterator[str]:
    """What `audited.lua` takes for each entry; a person without a key is given one, and so is who may come to be."""
    number = newest
    for (user_id, anonymous_id), found in zip(deed.people, persons, strict=True):
        for person, key in found or [("", "")]:
            number += 1
            fresh = "" if key else secrets.token_hex(32)
            mark = mark_of(bytes.fromhex(key or fresh), number).hex()
            yield from (perhaps(user_id), perhaps(anonymous_id), person, fresh, _text(deed, mark), _text(deed, None))
    if not deed.people:
        yield from ("", "", "", "", "", _text(deed, None))


def _text(deed: Deed, mark: str | None) -> str:
    return packed((deed.moment, deed.actor, deed.action, mark, deed.request_id, deed.detail))


def _entry(number: int, text: str) -> Entry:
    moment, actor, action, mark, request_id, detail = json.loads(text)
    return Entry(number, moment, actor, action, None if mark is None else bytes.fromhex(mark), request_id, detail)

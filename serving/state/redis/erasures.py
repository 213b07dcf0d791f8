"""Erasure in the Redis store: rows, marks and receipts in one script, then the files, which the server writes anew."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from features.errors import StateError
from features.moments import DAY
from features.tombstones import Tombstones
from serving.state.erasures import PSEUDONYMS, RETRY_DAYS, Erasure, Receipt, Scrubbed
from serving.state.redis.connections import Calls
from serving.state.redis.durability import forget_on_disk
from serving.state.redis.marks import Marks
from serving.state.redis.rows import packed, pairs, perhaps, unpacked
from serving.state.redis.tables import PERSONAL

TRIES = 100


class RedisErasures:
    """The part of the store that forgets; it stands on the store's connections."""

    _connections: Calls
    _marks: Marks

    def erase(self, user_id: str | None, anonymous_id: str | None = None, *, moment: int) -> Erasure:
        self._marks.settle(self._connections)
        ids, receipt_id = (perhaps(user_id), perhaps(anonymous_id)), secrets.token_hex(16)
        for _ in range(TRIES):
            *known, persons = _standing(self._connections.read("erase_standing", *ids))
            users, visitors = _outside_ids((user_id, anonymous_id), known, persons)
            marks = [self._marks.of("user", one) for one in users]
            marks += [self._marks.of("visitor", one) for one in visitors]
            unchanged = [(person, len(held) // 2, len(events) // 2) for person, held, events in persons]
            receipt = (receipt_id, moment, packed({"user_ids": users, "anonymous_ids": visitors}))
            events = self._marks_of_events(persons, since=moment - RETRY_DAYS * DAY)
            given = (*known, *receipt, len(persons), *chain(*unchanged), len(marks), *marks, *events)
            gone = self._connections.write("erase", *ids, *given)
            if gone != -1:
                removed = dict(zip((*PERSONAL, "ids"), gone, strict=True))
                return Erasure(receipt_id, moment, removed, users, visitors)
        raise StateError("the store did not answer: this person is written to all the time", field="state")

    def unfinished(self) -> list[Erasure]:
        rows = [(receipt_id, *json.loads(text)) for receipt_id, text in self._connections.read("unfinished")]
        found = [Erasure(one, moment, removed, **ids) for one, moment, removed, ids, _ in rows]
        return sorted(found, key=lambda erasure: (erasure.moment, erasure.receipt_id))

    def finish(self, receipt_id: str, report: Mapping[str, Any]) -> None:
        row = self._connections.ask(lambda client: client.hget("tb:receipts", receipt_id))
        if row is not None:
            moment, removed, *_ = json.loads(str(row))
            self._connections.write("finish", receipt_id, packed((moment, removed, None, report)))

    def receipts(self, user_id: str | None, anonymous_id: str | None = None) -> list[Receipt]:
        self._marks.settle(self._connections)
        marks = [] if user_id is None else [self._marks.of("user", user_id)]
        marks += [] if anonymous_id is None else [self._marks.of("visitor", anonymous_id)]
        rows = [(receipt_id, *json.loads(text)) for receipt_id, text in self._connections.read("receipts", *marks)]
        found = [Receipt(one, moment, removed, report) for one, moment, removed, _, report in rows]
        return sorted(found, key=lambda receipt: (receipt.moment, receipt.receipt_id))

    def tombstones(self) -> Tombstones:
        key = self._marks.settle(self._connections)
        found: Any = self._connections.ask(lambda client: client.hgetall("tb:erased"))
        marks = {mark: int(text.partition(":")[0]) for mark, text in found.items()}
        return Tombstones(key, marks, self.setting(PSEUDONYMS))

    def setting(self, name: str) -> str | None:
        found = self._connections.ask(lambda client: client.hget("tb:settings", name))
        return None if found is None else str(found)

    def settle(self, name: str, value: str) -> str:
        return str(self._connections.write("settle", name, value))

    def scrub(self, ids: Sequence[str]) -> Scrubbed:  # noqa: ARG002 - the server writes all of its files anew
        """As the protocol says; `ids` matter not to it."""
        return self._connections.ask_patiently(forget_on_disk)

    def remnants(self, ids: Sequence[str]) -> None:
        """Nothing can be told from here: the files are the server's."""

    def _marks_of_events(self, persons: Sequence[Any], since: int) -> Iterator[str]:
        for _, _, flat in persons:
            yield from (self._marks.of("event", row[0]) for row in unpacked(pairs(flat)[1]) if row[3] > since)


def _standing(answer: list[Any]) -> tuple[Any, ...]:
    user, visitor, *persons = answer
    return user, visitor, persons


def _outside_ids(
    given: tuple[str | None, str | None], known: Sequence[int], persons: Sequence[Any]
) -> tuple[list[str], list[str]]:
    """Outside ids of the persons, and those that were given and are nobody's; users and visitors, sorted."""
    found: tuple[set[str], set[str]] = (set(), set())
    for one, is_known, ids in zip(given, known, found, strict=True):
        if one is not None and not is_known:
            ids.add(one)
    for _, held, _ in persons:
        for one, score in zip(*pairs(held), strict=True):
            found[score != "0"].add(one)
    return sorted(found[0]), sorted(found[1])

"""Erasure in every backend: nothing dated before it comes back, what comes later is a new person."""

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from features.moments import DAY
from features.statements import Statement
from features.tombstones import mark_of
from serving.state import open_state
from serving.state.protocol import State, StoredEvent, UserAttributes
from serving.state.sqlite_reads import read_export
from serving.state.sqlite_schema import PERSONAL, create_tables

THEN = 1_000 * DAY
"""The moment of the erasures below."""


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def event(number: int, moment: int = THEN - 1, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", moment, "ann")._replace(**given)


def visit(number: int, moment: int = THEN - 1, **given: Any) -> StoredEvent:
    return event(number, moment, user_id=None, anonymous_id="cookie", **given)


def held(state: State, user_id: str | None, anonymous_id: str | None = None) -> list[str]:
    return [one["event_id"] for one in state.export(user_id, anonymous_id)["events"]]


def test_what_is_dated_before_an_erasure_does_not_come_back(state: State) -> None:
    state.append([event(1), visit(2)])
    state.link("cookie", "ann")
    state.erase("ann", moment=THEN)
    late = [event(3), visit(4), event(5, THEN), event(6, user_id="bob")]
    assert state.append(late) == ["erased", "erased", "erased", "stored"]
    assert state.load([event(7), event(8, user_id="bob")]).stored == 1
    assert state.declare("ann", None, [Statement("consent", "train", "granted", THEN, "table")]) == 0
    assert state.set_attributes([UserAttributes("ann", {"plan": "pro"}, moment=THEN)]) == 0
    assert state.export("ann") == state.export(None, "cookie") == state.export("nobody")
    assert held(state, "bob") == ["e6", "e8"]


def test_what_comes_later_is_a_new_person(state: State) -> None:
    state.append([event(1), visit(2)])
    state.link("cookie", "ann")
    state.erase("ann", moment=THEN)
    assert state.append([event(3, THEN + 1), visit(4, THEN + 1)]) == ["stored", "stored"]
    assert state.declare("ann", None, [Statement("consent", "train", "granted", THEN + 1, "person")]) == 1
    assert held(state, "ann") == ["e3"]
    assert held(state, None, "cookie") == ["e4"]
    state.link("cookie", "ann")
    assert held(state, "ann") == ["e3", "e4"]


def test_a_retry_without_a_time_is_known_by_its_id(state: State) -> None:
    """Such an event would be dated when it comes, after the erasure."""
    state.append([event(1), event(2, THEN - 8 * DAY)])
    state.erase("ann", moment=THEN)
    assert state.append([event(1, THEN + 5), event(2, THEN + 5)]) == ["erased", "stored"]


def test_a_stranger_may_be_erased_and_a_person_twice(state: State) -> None:
    first = state.erase("nobody", moment=THEN)
    assert set(first.removed.values()) == {0}
    assert list(first.user_ids) == ["nobody"]
    assert state.append([event(1, user_id="nobody")]) == ["erased"]
    assert state.append([event(2, THEN + 2, user_id="nobody")]) == ["stored"]
    second = state.erase("nobody", moment=THEN + 9)
    assert second.removed["events"] == 1
    assert state.append([event(3, THEN + 9, user_id="nobody")]) == ["erased"]
    assert [one.receipt_id for one in state.receipts("nobody")] == [first.receipt_id, second.receipt_id]


def test_an_earlier_clock_does_not_reopen_what_was_closed(state: State) -> None:
    state.erase("ann", moment=THEN)
    state.erase("ann", moment=THEN - DAY)
    assert state.append([event(1)]) == ["erased"]


def test_another_users_visitor_is_not_erased_along(state: State) -> None:
    state.append([visit(1), event(2, user_id="bob")])
    state.link("cookie", "bob")
    erased = state.erase("ann", "cookie", moment=THEN)
    assert (list(erased.user_ids), list(erased.anonymous_ids)) == (["ann"], [])
    assert held(state, "bob") == ["e1", "e2"]
    assert state.append([visit(3)]) == ["stored"]


def test_both_ids_of_a_login_are_erased(state: State) -> None:
    state.append([event(1), visit(2)])
    erased = state.erase("ann", "cookie", moment=THEN)
    assert (list(erased.user_ids), list(erased.anonymous_ids)) == (["ann"], ["cookie"])
    assert erased.removed["events"] == 2
    assert state.append([visit(3)]) == ["erased"]


def test_a_link_after_the_erasure_brings_nothing_older(state: State) -> None:
    """The order of an erasure and a link changes nothing: what either had from before is gone."""
    state.append([visit(1), visit(2, THEN + 1), visit(3, item_id="i2")])
    state.declare(None, "cookie", [Statement("consent", "train", "granted", 5, "person")])
    state.erase("ann", moment=THEN)
    state.link("cookie", "ann")
    assert held(state, "ann") == ["e2"]
    assert state.export("ann")["taken"] == [{"item_id": "i2", "type": "view", "moment": THEN + 1}]
    assert state.statements("ann") == []
    assert state.append([visit(4), visit(5, THEN + 2)]) == ["erased", "stored"]


def test_an_erased_visitor_takes_nothing_from_the_user_they_become(state: State) -> None:
    state.append([event(1), visit(2)])
    state.erase(None, "cookie", moment=THEN)
    state.link("cookie", "ann")
    assert held(state, "ann") == ["e1"]
    assert state.append([event(3), visit(4)]) == ["stored", "erased"]


def test_a_visitor_who_becomes_an_erased_user_unseen_is_refused_what_is_older(state: State) -> None:
    state.erase("ann", moment=THEN)
    state.link("new cookie", "ann")
    assert state.append([visit(1)._replace(anonymous_id="new cookie")]) == ["erased"]


def test_a_receipt_lasts_and_holds_no_id(state: State) -> None:
    state.append([event(1), visit(2)])
    state.link("cookie", "ann")
    erased = state.erase("ann", moment=THEN)
    assert [one.receipt_id for one in state.unfinished()] == [erased.receipt_id]
    assert state.unfinished()[0] == erased
    assert [one.report for one in state.receipts("ann")] == [None]
    state.finish(erased.receipt_id, {"places": ["a"]})
    assert state.unfinished() == []
    for ids in (("ann", None), (None, "cookie"), ("ann", "cookie")):
        (receipt,) = state.receipts(*ids)
        assert receipt == (erased.receipt_id, THEN, erased.removed, {"places": ["a"]})
    assert state.receipts("bob") == []


def test_tombstones_know_the_erased_and_nobody_else(state: State) -> None:
    assert state.tombstones().marks == {}
    state.append([visit(1)])
    state.link("cookie", "ann")
    state.erase("ann", moment=THEN)
    state.erase("ann", moment=THEN + 5)
    found = state.tombstones()
    assert found.key == state.tombstones().key
    assert found.marks == {mark_of(found.key, "user", "ann"): THEN + 5, mark_of(found.key, "visitor", "cookie"): THEN}
    assert [found.of_user(one) for one in ("ann", "bob", "cookie")] == [THEN + 5, None, None]
    assert [found.of_rows(one) for one in ("ann", "bob", "cookie")] == [THEN + 5, None, THEN]


def test_a_setting_is_given_once(state: State) -> None:
    assert [state.settle("name", value) for value in ("first", "second")] == ["first", "first"]
    assert state.settle("other", "third") == "third"


def test_an_erasure_under_concurrent_writes_leaves_nothing(state: State) -> None:
    """Writers, links and erasures at once; whatever the order, nothing dated before stays."""
    started = threading.Barrier(4)

    def write(start: int) -> None:
        started.wait()
        for number in range(start, start + 40):
            one = event(number) if number % 2 else visit(number)
            state.append([one, event(number + 1_000, user_id="bob")])

    def link() -> None:
        started.wait()
        for _ in range(10):
            state.link("cookie", "ann")

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 100)] + [threading.Thread(target=link)]
    for thread in threads:
        thread.start()
    started.wait()
    for _ in range(5):
        state.erase("ann", moment=THEN)
    for thread in threads:
        thread.join()
    state.link("cookie", "ann")
    assert state.export("ann")["events"] == state.export("ann")["taken"] == []
    assert held(state, None, "cookie") == []
    assert len(held(state, "bob")) == 80


def test_every_table_of_people_is_erased_and_exported() -> None:
    """A new table joins by its line in `PERSONAL`, and by one in `read_export`."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_tables(connection)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for name in tables}
    assert {name for name in tables if "person" in columns[name]} == set(PERSONAL)
    exported = {"user_ids": "ids", "anonymous_ids": "ids", "changes": "attributes"}
    held = {exported.get(name, name) for name in read_export(connection, [1])}
    assert set(PERSONAL) - held == {"audit_keys"}, "what a key opens is exported as the entries themselves"
    connection.close()

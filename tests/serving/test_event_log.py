"""What every backend of the log of events must do: one suite for all."""

import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from features.errors import StateError
from serving.state import EventLog, open_event_log, open_state
from serving.state.protocol import State, StoredEvent


class Store(NamedTuple):
    state: State
    log: EventLog


@pytest.fixture
def store(shared_store_url: str) -> Iterator[Store]:
    opened = Store(open_state(shared_store_url), open_event_log(shared_store_url))
    yield opened
    opened.log.close()
    opened.state.close()


def event(number: int, user: str = "ann", **given: object) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", number, user)._replace(**given)  # type: ignore[arg-type]


def visit(number: int) -> StoredEvent:
    return event(number, user_id=None, anonymous_id="cookie")


def ids(store: Store, number: int = 0, limit: int = 100) -> list[str]:
    return [one.event.event_id for one in store.log.after(number, limit)]


def test_an_empty_log(store: Store) -> None:
    assert store.log.newest() == store.log.exported() == 0
    assert store.log.after(0, 10) == []


def test_events_come_back_whole_in_the_order_of_storing(store: Store) -> None:
    late = event(1, value=2.5, context={"device": "tv"}, request_id="r", details={"position": 3})
    store.state.append([event(2), late, event(2)])
    store.state.append([visit(3)])
    found = store.log.after(0, 10)
    assert [one.event for one in found] == [event(2), late, visit(3)]
    numbers = [one.number for one in found]
    assert numbers == sorted(set(numbers))
    assert store.log.newest() == numbers[-1]
    assert [ids(store, numbers[0], 1), ids(store, numbers[1]), ids(store, numbers[2])] == [["e1"], ["e3"], []]


def test_an_event_is_of_whom_its_visitor_became(store: Store) -> None:
    store.state.append([visit(1), event(2)])
    store.state.link("cookie", "ann")
    store.state.append([visit(3)])
    assert [(one.event.user_id, one.event.anonymous_id) for one in store.log.after(0, 9)] == [("ann", None)] * 3


def test_what_was_erased_is_in_no_log_and_numbers_go_on(store: Store) -> None:
    store.state.append([event(1), event(2, "bob"), visit(3)])
    newest = store.log.newest()
    store.state.link("cookie", "ann")
    store.state.erase("ann", moment=9)
    assert ids(store) == ids(store, limit=1) == ["e2"]
    store.state.append([event(4, "bob")])
    assert store.log.after(newest, 9)[0].number > newest
    store.state.erase("bob", moment=9)
    assert ids(store) == []
    assert store.log.newest() > newest


def test_what_was_exported_stays_with_its_people(store: Store) -> None:
    store.state.append([event(1), event(2)])
    last = store.log.newest()
    store.log.mark_exported(last)
    store.log.mark_exported(1)
    assert store.log.exported() == last == store.log.newest()
    store.state.append([event(3), event(2)])
    assert ids(store, last) == ["e3"]
    assert list(store.state.person("ann").events.item_ids) == ["i1", "i2", "i3"]


def test_nobody_meets_a_smaller_number_later(store: Store) -> None:
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        last_round = False
        while not last_round:
            last_round = done.is_set()
            seen.extend(one.number for one in store.log.after(seen[-1] if seen else 0, 1000))

    def write(start: int) -> None:
        for number in range(start, start + 20):
            store.state.append([event(number), event(1000 + number)])

    follower = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 20, 40)]
    for thread in (follower, *writers):
        thread.start()
    for writer in writers:
        writer.join()
    done.set()
    follower.join()
    assert seen == sorted(set(seen))
    assert len(seen) == 120


def test_a_closed_log_says_that_it_does_not_answer(store: Store) -> None:
    store.log.close()
    with pytest.raises(StateError, match="did not answer"):
        store.log.newest()

"""What every backend of the state must do: one suite for all."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import RequestError, StateError
from features.statements import Statement
from serving.state import open_state
from serving.state.protocol import State, StoredEvent, UserAttributes
from tests.serving.ann import event, seen, taken, visit


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def test_a_stranger_is_an_empty_record(state: State) -> None:
    for person in (state.person("nobody"), state.person(None, "nobody"), state.person(None)):
        assert seen(person) == []
        assert taken(person) == {}
        assert person.attributes == {}
        assert person.changes == {}
    assert state.newest_event() is None
    assert list(state.user_ids()) == []


def test_an_event_comes_back_as_it_was(state: State) -> None:
    there = event(1, moment=1_700_000_000_123, value=4.5, context={"device": "tv"}, request_id="r1")
    assert state.append([there, event(2, moment=1_700_000_000_124)]) == ["stored", "stored"]
    person = state.person("ann")
    assert seen(person) == ["i1", "i2"]
    assert list(person.events.types) == ["view", "view"]
    assert person.events.moments.dtype == np.int64
    assert person.events.moments.tolist() == [1_700_000_000_123, 1_700_000_000_124]
    assert person.events.values.dtype == np.float32
    assert person.events.values[0] == 4.5
    assert np.isnan(person.events.values[1])
    assert person.events.contexts == [{"device": "tv"}, {}]


def test_without_any_context_there_is_no_column_of_contexts(state: State) -> None:
    state.append([event(1)])
    assert state.person("ann").events.contexts is None


def test_an_event_counts_once(state: State) -> None:
    assert state.append([event(1), event(1), event(2)]) == ["stored", "duplicate", "stored"]
    assert state.append([event(2, item_id="other", moment=99), event(3)]) == ["duplicate", "stored"]
    assert seen(state.person("ann")) == ["i1", "i2", "i3"]
    assert ("other", "view") not in taken(state.person("ann"))
    assert state.newest_event() == 3


def test_the_next_read_sees_the_event(state: State) -> None:
    for number in range(20):
        state.append([event(number)])
        assert seen(state.person("ann"))[-1] == f"i{number}"


def test_a_late_event_takes_its_place_in_time(state: State) -> None:
    state.append([event(1), event(3)])
    state.append([event(2)])
    assert seen(state.person("ann")) == ["i1", "i2", "i3"]


def test_equal_moments_keep_the_order_of_arrival(state: State) -> None:
    state.append([event(number, moment=7) for number in (2, 1)])
    state.append([event(0, moment=7)])
    assert seen(state.person("ann")) == ["i2", "i1", "i0"]


def test_events_are_capped_and_what_was_taken_is_not(state: State) -> None:
    state.load(event(number) for number in range(2500))
    person = state.person("ann", newest=3)
    assert seen(person) == ["i2497", "i2498", "i2499"]
    assert len(taken(person)) == 2500


def test_taken_holds_the_newest_moment_of_each_item_and_type(state: State) -> None:
    state.append([event(1, moment=5, item_id="tea"), event(2, moment=9, item_id="tea")])
    state.append([event(3, moment=7, item_id="tea"), event(4, moment=1, item_id="tea", type="buy")])
    assert taken(state.person("ann")) == {("tea", "view"): 9, ("tea", "buy"): 1}


def test_types_that_do_not_count_leave_the_places_to_others(state: State) -> None:
    state.append([event(1), event(2, type="shown"), event(3, type="shown")])
    person = state.person("ann", newest=1, without=["shown"])
    assert seen(person) == ["i1"]
    assert taken(person) == {("i1", "view"): 1}
    assert len(taken(state.person("ann"))) == len(state.export("ann")["taken"]) == 3


def test_people_do_not_mix(state: State) -> None:
    state.append([event(1), event(2, user_id="bob"), visit(3)])
    assert seen(state.person("ann")) == ["i1"]
    assert seen(state.person("bob")) == ["i2"]
    assert seen(state.person(None, "cookie")) == ["i3"]
    assert seen(state.person("cookie")) == []
    assert list(state.user_ids()) == ["ann", "bob"]


def test_one_transaction_stores_all_or_nothing(state: State) -> None:
    with pytest.raises(StateError, match="belongs to nobody"):
        state.append([event(1), event(2, user_id=None)])
    assert seen(state.person("ann")) == []
    assert taken(state.person("ann")) == {}
    assert state.append([event(1)]) == ["stored"]


def test_known_event_ids_are_told(state: State) -> None:
    state.append([event(1), event(2)])
    assert state.known(["e2", "e9"]) == {"e2"}
    assert state.known([]) == set()


def test_attributes_static_and_changing(state: State) -> None:
    count = state.set_attributes(
        [
            UserAttributes("ann", {"gender": "F", "tags": ["a", "b"], "lost": None}),
            UserAttributes("ann", {"plan": "pro"}, moment=20),
            UserAttributes("ann", {"plan": "free"}, moment=10),
        ]
    )
    person = state.person("ann")
    assert count == 5
    assert person.attributes == {"gender": "F", "tags": ["a", "b"], "lost": None}
    assert [person.attribute("plan", moment) for moment in (9, 10, 19, 20)] == [None, "free", "free", "pro"]
    state.set_attributes([UserAttributes("ann", {"gender": "M"}), UserAttributes("ann", {"plan": "x"}, 20)])
    assert state.person("ann").attribute("gender", 0) == "M"
    assert state.person("ann").attribute("plan", 20) == "x"


def test_a_record_says_what_it_has_seen(state: State) -> None:
    assert state.person("ann").seen == 0
    state.append([event(1)])
    first = state.person("ann").seen
    state.append([event(2, user_id="bob")])
    second = state.person("ann").seen
    assert first is not None
    assert second is not None
    assert second > first > 0


def test_export_holds_everything(state: State) -> None:
    state.append([event(1, value=2.0, context={"device": "tv"}, request_id="r", details={"dwell": 1.5}), visit(2)])
    state.link("cookie", "ann")
    state.set_attributes([UserAttributes("ann", {"gender": "F"}), UserAttributes("ann", {"plan": "pro"}, moment=5)])
    blank = {"value": None, "context": None, "request_id": None, "details": None}
    first = {"value": 2.0, "context": {"device": "tv"}, "request_id": "r", "details": {"dwell": 1.5}}
    state.declare("ann", None, [consent(5)])
    said = {"kind": "consent", "key": "train", "value": "granted", "moment": 5, "source": "person"}
    assert state.export("ann") == {
        "statements": [said],
        "user_ids": ["ann"],
        "anonymous_ids": ["cookie"],
        "attributes": {"gender": "F"},
        "changes": {"plan": [{"moment": 5, "value": "pro"}]},
        "events": [
            {"event_id": "e1", "item_id": "i1", "type": "view", "moment": 1, **first},
            {"event_id": "e2", "item_id": "i2", "type": "view", "moment": 2, **blank},
        ],
        "taken": [
            {"item_id": "i1", "type": "view", "moment": 1},
            {"item_id": "i2", "type": "view", "moment": 2},
        ],
        "dead_letters": [],
        "served": [],
    }
    assert state.export("nobody")["events"] == []


def test_erase_takes_all_of_a_person_and_nothing_of_others(state: State) -> None:
    state.append([event(1), event(2), visit(3), event(4, user_id="bob")])
    state.link("cookie", "ann")
    state.set_attributes([UserAttributes("ann", {"gender": "F"})])
    erased = {"events": 3, "statements": 0, "ids": 2, "taken": 3, "attributes": 1}
    assert state.erase("ann", moment=9).removed.items() >= erased.items()
    assert set(state.erase("ann", moment=9).removed.values()) == {0}
    assert state.export("ann")["user_ids"] == state.export(None, "cookie")["anonymous_ids"] == []
    assert seen(state.person("bob")) == ["i4"]


def test_ids_that_point_at_each_other_are_two_people(state: State) -> None:
    """A visitor's id and a user's are never one, whatever their text, so that links make no cycle."""
    state.append([event(1, user_id="a"), event(2, user_id="b")])
    state.append([visit(3)._replace(anonymous_id="a"), visit(4)._replace(anonymous_id="b")])
    assert [state.link("a", "b"), state.link("b", "a"), state.link("a", "b")] == [True, True, False]
    assert (seen(state.person("b")), seen(state.person("a"))) == (["i2", "i3"], ["i1", "i4"])
    assert (state.user_of("a"), state.user_of("b")) == ("b", "a")
    with pytest.raises(RequestError, match="another user already"):
        state.link("a", "a")
    assert state.erase("a", moment=9).anonymous_ids == ["b"]
    assert (seen(state.person("a")), seen(state.person("b"))) == ([], ["i2", "i3"])


def test_a_bulk_load_twice_stores_nothing_twice(state: State) -> None:
    events = [event(number, user_id=f"u{number % 7}") for number in range(100)]
    assert state.load(events, batch=30) == (100, 0, 0)
    assert state.load(events, batch=30) == (0, 100, 0)
    assert sum(len(state.person(user).events) for user in state.user_ids()) == 100
    assert state.newest_event() == 99


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.integers(0, 9)), max_size=25))
def test_any_stream_of_events_gives_what_a_plain_list_gives(
    new_store_url: Callable[[], str], stream: list[tuple[int, str, int]]
) -> None:
    """Each event id once, sorted by moment then arrival; taken is the newest moment of each pair."""
    once: dict[int, StoredEvent] = {}
    state = open_state(new_store_url())
    for number, kind, moment in stream:
        one = event(number, moment, type=kind)
        outcome = "duplicate" if number in once else "stored"
        once.setdefault(number, one)
        assert state.append([one]) == [outcome]
    ordered = sorted(once.values(), key=lambda one: one.moment)
    person = state.person("ann", newest=4)
    assert seen(person) == [one.item_id for one in ordered][-4:]
    assert taken(person) == {(one.item_id, one.type): one.moment for one in ordered}
    state.close()


def test_readers_beside_a_writer_see_whole_batches(state: State) -> None:
    """Each batch is two events: no read may ever see an odd number, or an event that is not taken."""
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            person = state.person("ann")
            if len(person.events) % 2 or len(person.events) != len(taken(person)):
                broken.append(f"{len(person.events)} events, {len(taken(person))} taken")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(0, 60, 2):
        state.append([event(number), event(number + 1)])
    done.set()
    for reader in readers:
        reader.join()
    assert broken == []


def test_many_writers_lose_nothing(state: State) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 20):
            state.append([event(number)])

    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 20, 40)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(state.person("ann").events) == 60


def consent(moment: int, value: str | None = "granted") -> Statement:
    return Statement("consent", "train", value, moment, "person")

"""Single facts in every backend: seen with their ids, removed with what followed from them, and gone when too old."""

from collections.abc import Iterator
from typing import Any

import pytest

from features.statements import Statement
from serving.state import open_state
from serving.state.protocol import State, StoredEvent, UserAttributes


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def event(number: int, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", number, "ann")._replace(**given)


def visit(number: int, **given: Any) -> StoredEvent:
    return event(number)._replace(user_id=None, anonymous_id="cookie", **given)


def taken(state: State) -> dict[tuple[str, str], int]:
    return {(one["item_id"], one["type"]): one["moment"] for one in state.export("ann")["taken"]}


def said(moment: int, value: Any, key: str = "strength") -> Statement:
    return Statement("preference", key, value, moment, "person")


def test_a_history_is_the_newest_events_as_they_came(state: State) -> None:
    first = event(1, value=2.0, context={"device": "tv"}, request_id="r")
    state.append([event(3, type="shown"), first, event(2, user_id="bob"), visit(4)])
    assert state.history("ann", newest=5) == [first, event(3, type="shown")]
    assert [one.event_id for one in state.history("ann", newest=1)] == ["e3"]
    assert state.history(None, "cookie", newest=5) == [visit(4)]
    assert state.history("ann", "cookie", newest=2) == [event(3, type="shown"), event(4)]
    assert state.history("nobody", newest=5) == []


def test_an_event_is_removed_with_what_was_taken_by_it_alone(state: State) -> None:
    state.append([event(1, item_id="tea"), event(2, item_id="tea"), event(3), event(9, user_id="bob")])
    assert state.remove_event("ann", None, "e2", moment=5) is True
    assert taken(state) == {("tea", "view"): 1, ("i3", "view"): 3}
    assert state.remove_event("ann", None, "e3", moment=5) is True
    assert taken(state) == {("tea", "view"): 1}
    assert [one.event_id for one in state.history("ann", newest=9)] == ["e1"]
    for event_id in ("e3", "e9", "none"):
        assert state.remove_event("ann", None, event_id, moment=5) is False
    assert len(state.history("bob", newest=9)) == 1


def test_a_removed_event_does_not_come_back_with_a_retry(state: State) -> None:
    state.append([event(1), event(2)])
    state.remove_event("ann", None, "e1", moment=5)
    assert state.append([event(1), event(2), event(3)]) == ["erased", "duplicate", "stored"]
    assert state.expire("erased_events", before=6, limit=10) == 1
    assert state.append([event(1)]) == ["stored"]


def test_a_past_is_forgotten_but_for_some_types(state: State) -> None:
    """At a login of both pasts; what others did stays, and a retry brings nothing back."""
    state.append([event(1), event(2, type="buy"), visit(3), event(4, user_id="bob")])
    assert state.forget_events("ann", "cookie", ["buy"], moment=5) == 2
    assert taken(state) == {("i2", "buy"): 2}
    assert [one.event_id for one in state.history("ann", "cookie", newest=9)] == ["e2"]
    assert len(state.history("bob", newest=9)) == 1
    outcomes = state.append([event(1), event(2, type="buy"), visit(3), event(6)])
    assert outcomes == ["erased", "duplicate", "erased", "stored"]
    assert state.forget_events("nobody", None, [], moment=5) == 0
    assert state.forget_events("ann", None, [], moment=9) == 2


def test_attributes_are_removed_with_their_past(state: State) -> None:
    state.set_attributes([UserAttributes("ann", {"plan": "free", "city": "Łódź"}), UserAttributes("bob", {"plan": 1})])
    state.set_attributes([UserAttributes("ann", {"plan": "pro"}, moment=moment) for moment in (3, 5)])
    assert state.remove_attributes("ann", ["plan", "unknown"]) == 3
    person = state.person("ann")
    assert (person.attributes, person.changes) == ({"city": "Łódź"}, {})
    assert state.person("bob").attributes == {"plan": 1}
    assert state.remove_attributes("nobody", ["plan"]) == 0


def test_events_expire_by_type_a_part_at_a_time(state: State) -> None:
    state.append([event(number) for number in range(1, 8)] + [event(20 + number, type="buy") for number in range(3)])
    state.append([event(30, item_id="i1", moment=9)])
    assert state.expire("events", before=6, limit=3, types=["view"]) == 3
    assert state.expire("events", before=6, limit=3, types=["view"]) == 2
    assert state.expire("events", before=6, limit=3, types=["view"]) == 0
    assert sorted(one.event_id for one in state.history("ann", newest=99)) == ["e20", "e21", "e22", "e30", "e6", "e7"]
    assert taken(state)["i1", "view"] == 9
    assert ("i2", "view") not in taken(state)


def test_whoever_has_nothing_left_is_forgotten(state: State) -> None:
    state.append([event(1), visit(2), event(3, user_id="bob")])
    state.set_attributes([UserAttributes("bob", {"plan": 1})])
    assert state.expire("events", before=9, limit=99, types=["view"]) == 3
    assert list(state.user_ids()) == ["bob"]
    assert state.export(None, "cookie")["anonymous_ids"] == []


def test_statements_expire_once_another_took_their_place(state: State) -> None:
    state.declare("ann", None, [said(1, 0.1), said(2, 0.2), said(8, 0.8), said(3, True, "hidden")])
    state.declare("bob", None, [said(1, 1.0)])
    assert state.expire("statements", before=5, limit=1) == 1
    assert state.expire("statements", before=5, limit=99) == 0
    assert [one.moment for one in state.statements("ann")] == [2, 3, 8]
    assert [one.moment for one in state.statements("bob")] == [1]
    assert state.expire("statements", before=9, limit=99) == 1
    assert [one.moment for one in state.statements("ann")] == [3, 8]

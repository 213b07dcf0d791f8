"""What every backend of the state must do about consent: admit within the write, join strictly, load once."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from features.consent import MERGED, OPT_IN, decide, storable
from features.statements import Statement
from serving.state import State, open_state
from serving.state.protocol import StoredEvent, UserAttributes, UserStatement

NOW = 1_000


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def said(answer: str, moment: int = 1, purpose: str = "personalize", source: str = "person") -> Statement:
    return Statement("consent", purpose, answer, moment, source)


def event(number: int, user: str | None = "ann", visitor: str | None = None) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", number, user, visitor)


def admit(statements: Sequence[Statement]) -> bool:
    return storable(statements, OPT_IN, NOW)


def answer(state: State, user: str | None, visitor: str | None = None, purpose: str = "personalize") -> str:
    return decide(purpose, state.statements(user, visitor), OPT_IN, NOW).state


def test_only_those_who_are_admitted_are_stored(state: State) -> None:
    state.declare("ann", None, [said("granted")])
    state.declare("bob", None, [said("denied")])
    events = [event(1), event(2, "bob"), event(3, "eve"), event(4, None, "cookie"), event(1), event(5)]
    outcomes = ["stored", "not_stored", "not_stored", "not_stored", "duplicate", "stored"]
    assert state.append(events, admit) == outcomes
    assert list(state.person("ann").events.item_ids) == ["i1", "i5"]
    assert list(state.user_ids()) == ["ann", "bob"]
    assert state.export(None, "cookie")["anonymous_ids"] == []


def test_a_refused_event_can_come_again(state: State) -> None:
    assert state.append([event(1)], admit) == ["not_stored"]
    state.declare("ann", None, [said("granted")])
    assert state.append([event(1)], admit) == ["stored"]


def test_a_withdrawal_holds_for_the_next_event_also_for_one_that_is_stored(state: State) -> None:
    state.declare("ann", None, [said("granted", 1)])
    state.append([event(1)], admit)
    state.declare("ann", None, [said("denied", 2)])
    assert state.append([event(1), event(2)], admit) == ["not_stored", "not_stored"]


def test_loading_and_attributes_admit_too(state: State) -> None:
    state.declare("ann", None, [said("granted")])
    assert state.load([event(1), event(2, "bob"), event(1)], admit=admit) == (1, 1, 1)
    given = [UserAttributes("ann", {"plan": "pro"}), UserAttributes("bob", {"plan": "free"})]
    assert state.set_attributes(given, admit) == 1
    assert state.person("ann").attributes == {"plan": "pro"}
    assert list(state.user_ids()) == ["ann"]


def test_statements_are_loaded_once(state: State) -> None:
    loaded = [UserStatement("ann", said("granted")), UserStatement("bob", said("denied"))]
    assert state.load_statements(loaded, batch=1) == 2
    assert state.load_statements([*loaded, UserStatement("ann", said("denied", 1))]) == 1
    assert [one.value for one in state.statements("ann")] == ["granted", "denied"]


@pytest.mark.parametrize(("users", "visitors"), [("granted", "denied"), ("denied", "granted")])
def test_the_stricter_answer_wins_a_merge(state: State, users: str, visitors: str) -> None:
    state.declare("ann", None, [said(users, 5)])
    state.declare(None, "cookie", [said(visitors, 3 if users == "granted" else 7)])
    assert answer(state, "ann", "cookie") == "denied"
    assert answer(state, "ann") == users
    state.link("cookie", "ann")
    assert answer(state, "ann") == answer(state, None, "cookie") == "denied"
    assert [one.source for one in state.statements("ann")] == ["person", "person", MERGED]


def test_who_was_silent_takes_the_others_answer(state: State) -> None:
    state.declare("ann", None, [said("granted")])
    state.append([event(1, None, "cookie")])
    state.link("cookie", "ann")
    assert answer(state, "ann") == "granted"
    assert MERGED not in {one.source for one in state.statements("ann")}


def test_after_a_merge_the_person_can_answer_anew(state: State) -> None:
    state.declare("ann", None, [said("granted", 5)])
    state.declare(None, "cookie", [said("denied", 3)])
    state.link("cookie", "ann")
    assert state.statements("ann")[-1] == Statement("consent", "personalize", "denied", 5, MERGED)
    state.declare("ann", None, [said("granted", 5)])
    assert answer(state, "ann") == "granted"


def test_another_users_visitor_says_nothing_for_this_one(state: State) -> None:
    state.declare(None, "cookie", [said("denied")])
    state.link("cookie", "bob")
    state.declare("ann", None, [said("granted")])
    assert answer(state, "ann", "cookie") == "granted"


def test_no_write_slips_past_a_withdrawal(tmp_path: Path) -> None:
    """A write that has begun to decide holds up the withdrawal; one that comes after it is refused."""
    first, second = (open_state(f"sqlite:///{tmp_path}/state.db") for _ in range(2))
    first.declare("ann", None, [said("granted")])
    deciding, withdrawn = threading.Event(), threading.Event()

    def slowly(statements: Sequence[Statement]) -> bool:
        deciding.set()
        assert not withdrawn.wait(0.2)
        return admit(statements)

    def withdraw() -> None:
        deciding.wait(5)
        second.declare("ann", None, [said("denied", 2)])
        withdrawn.set()

    thread = threading.Thread(target=withdraw)
    thread.start()
    assert first.append([event(1)], slowly) == ["stored"]
    thread.join(5)
    assert first.append([event(2)], admit) == ["not_stored"]
    for one in (first, second):
        one.close()

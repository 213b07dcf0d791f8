"""What every backend's audit log must do: one suite for all."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import RequestError, StateError
from features.statements import Statement
from serving.state import State, open_state
from serving.state.audit_log import Deed, Entry, entries_of
from serving.state.protocol import StoredEvent, UserAttributes
from serving.state.sqlite_connections import Connections

HIDE = Statement("preference", "hide", ["horror"], 7, "person")


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def deed(*users: str, action: str = "preferences") -> Deed:
    return Deed(action, "k_1", 5, "r-1", [(user, None) for user in users], {"count": 1})


def about(state: State, user: str | None, visitor: str | None = None) -> list[str]:
    return [entry.action for entry in entries_of(state.audit_log, user, visitor)]


def event(event_id: str, user: str | None = None, visitor: str | None = None) -> StoredEvent:
    return StoredEvent(event_id, "i1", "view", 1, user, visitor)


def test_a_new_log_is_empty(state: State) -> None:
    assert state.audit_log.after(0) == []
    assert state.audit_log.keys("ann") == []
    assert about(state, "ann") == []


def test_a_deed_comes_back_as_it_was(state: State) -> None:
    state.audit_log.note(Deed("promote", "root", 5, None, detail={"bundle": "cb6f"}))
    assert state.audit_log.after(0) == [Entry(1, 5, "root", "promote", None, None, {"bundle": "cb6f"})]


def test_readers_go_on_where_they_were(state: State) -> None:
    for _ in range(5):
        state.audit_log.note(deed())
    assert [entry.number for entry in state.audit_log.after(2, 2)] == [3, 4]
    assert [entry.number for entry in state.audit_log.after(4, 2)] == [5]


def test_a_change_and_its_deed_are_stored_together(state: State) -> None:
    one = deed("ann")
    state.audited(one).declare("ann", None, [HIDE])
    assert one.noted
    assert about(state, "ann") == ["preferences"]
    assert state.statements("ann") == [HIDE]


def test_a_change_that_fails_leaves_no_deed(state: State) -> None:
    state.link("v", "bob")
    one = deed("ann")
    with pytest.raises(RequestError):
        state.audited(one).link("v", "ann")
    assert not one.noted
    assert state.audit_log.after(0) == []


def test_a_deed_is_noted_once_however_much_it_changes(state: State) -> None:
    one = deed("ann")
    audited = state.audited(one)
    audited.declare("ann", None, [HIDE])
    audited.declare("ann", None, [HIDE])
    state.audit_log.note(one)
    assert about(state, "ann") == ["preferences"]


def test_reading_notes_nothing_until_it_is_asked_to(state: State) -> None:
    state.append([event("e1", "ann")])
    one = deed("ann", action="profile")
    audited = state.audited(one)
    audited.person("ann")
    assert state.audit_log.after(0) == []
    audited.audit_log.note(one)
    assert about(state, "ann") == ["profile"]


def test_others_are_not_noted(state: State) -> None:
    state.audited(deed("ann")).declare("ann", None, [HIDE])
    state.declare("bob", None, [HIDE])
    assert len(state.audit_log.after(0)) == 1
    assert about(state, "bob") == []


def test_each_person_of_a_deed_has_an_entry(state: State) -> None:
    state.append([event("e1", "ann")])
    values = [UserAttributes("ann", {"country": "pl"}), UserAttributes("bob", {"country": "de"})]
    state.audited(deed("ann", "bob", action="users")).set_attributes(values)
    assert about(state, "ann") == about(state, "bob") == ["users"]
    assert len(state.audit_log.after(0)) == 2


def test_a_stranger_is_not_made_known_by_being_looked_for(state: State) -> None:
    state.audit_log.note(deed("nobody", action="profile"))
    (entry,) = state.audit_log.after(0)
    assert entry.mark is None
    assert list(state.user_ids()) == []


def test_nobody_can_tell_whom_an_entry_was_about_after_an_erasure(state: State) -> None:
    state.append([event("e1", "ann"), event("e2", "bob")])
    for user in ("ann", "bob", "ann"):
        state.audit_log.note(deed(user, action="profile"))
    before = state.audit_log.after(0)
    state.audited(deed("ann", action="privacy_erase")).erase("ann", moment=0)
    assert state.audit_log.after(0)[:3] == before, "the entries stay"
    assert state.audit_log.after(0)[3].action == "privacy_erase"
    assert state.audit_log.keys("ann") == []
    state.append([event("e3", "ann")])
    state.audit_log.note(deed("ann", action="consent"))
    assert about(state, "ann") == ["consent"], "who comes later is somebody new"
    assert about(state, "bob") == ["profile"]


def test_no_two_entries_bear_the_same_mark(state: State) -> None:
    """Else those of an erased person would still tell when one and the same person came."""
    state.append([event("e1", "ann")])
    for _ in range(3):
        state.audit_log.note(deed("ann"))
    assert len({entry.mark for entry in state.audit_log.after(0)}) == 3


def test_the_entries_of_a_visitor_become_those_of_the_user(state: State) -> None:
    state.append([event("e1", "ann"), event("e2", None, "v")])
    state.audit_log.note(deed("ann", action="consent"))
    state.audit_log.note(Deed("preferences", "k_1", 6, people=[(None, "v")]))
    state.link("v", "ann")
    assert about(state, "ann") == about(state, None, "v") == ["consent", "preferences"]
    state.erase("ann", moment=0)
    assert about(state, "ann") == about(state, None, "v") == []


def test_many_who_write_at_once_leave_no_gap(state: State) -> None:
    def write(name: str) -> None:
        for number in range(10):
            state.audited(deed(name)).append([event(f"{name}{number}", name)])

    writers = [threading.Thread(target=write, args=(name,)) for name in ("ann", "bob", "eve")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [entry.number for entry in state.audit_log.after(0)] == [*range(1, 31)]
    assert [len(about(state, name)) for name in ("ann", "bob", "eve")] == [10, 10, 10]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'somebody else'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit VALUES (1, 0, 'x', 'x', NULL, NULL, '{}')",
        "REPLACE INTO audit VALUES (1, 0, 'x', 'x', NULL, NULL, '{}')",
        "UPDATE OR REPLACE audit SET number = 2",
    ],
)
def test_sqlite_refuses_to_change_or_remove_an_entry(tmp_path: Path, change: str) -> None:
    state = open_state(f"sqlite:///{tmp_path}/state.db")
    state.audit_log.note(deed())
    before = state.audit_log.after(0)
    connections = Connections(tmp_path / "state.db", 1)
    with pytest.raises(StateError, match="the audit log only grows"), connections.writing() as connection:
        connection.execute(change)
    assert state.audit_log.after(0) == before
    connections.close()
    state.close()

"""What every backend of the log of answers and of the refused events must do: one suite for all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from features.statements import Statement
from serving.state import open_state
from serving.state.dead_letters import DeadLetter, Refused
from serving.state.protocol import State, StoredEvent
from serving.state.served_log import LogExport, ServedItem, ServedRow


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def answer(request_id: str, user_id: str | None = "ann", anonymous_id: str | None = None) -> ServedRow:
    return ServedRow(
        request_id,
        user_id,
        anonymous_id,
        moment=1_700_000_000_123,
        answered_for=1_700_000_000_100,
        placement="default",
        items=(ServedItem("i2", 0.1 + 0.2, "nearest"), ServedItem("i1", 1e-17, None)),
        bundle="b1",
        policy="ranker",
        seen=7,
        query={"k": 2, "exclude": ["i9"], "context": {"device": "tv"}},
    )


def letter(number: int, user_id: str | None = "ann", anonymous_id: str | None = None) -> Refused:
    content = {"event_id": f"e{number}", "type": "hug", "user_id": user_id, "anonymous_id": anonymous_id}
    return Refused(content, 5, "there is no such event type", "type", user_id, anonymous_id)


def nobody(_: Sequence[Statement]) -> bool:
    return False


def willing(statements: Sequence[Statement]) -> bool:
    return any(one.key == "measure" and one.value == "granted" for one in statements)


def kept(state: State, number: int = 0) -> list[Refused]:
    return [one.refused for one in state.dead_letters.after(number, 100)]


def test_an_answer_comes_back_as_it_was_to_the_bit(state: State) -> None:
    rows = [answer("r1"), answer("r2", None, "cookie"), answer("r3", None)]
    assert state.served_log.add(rows) == 3
    logged = state.served_log.after(0, 10)
    assert [one.row for one in logged] == rows
    assert [one.number for one in logged] == sorted({one.number for one in logged})
    assert state.served_log.newest() == logged[-1].number
    assert [one.row.request_id for one in state.served_log.after(logged[0].number, 1)] == ["r2"]


def test_an_answer_is_stored_once(state: State) -> None:
    assert state.served_log.add([answer("r1")]) == 1
    assert state.served_log.add([answer("r1", "bob"), answer("r2")]) == 1
    assert [one.row.user_id for one in state.served_log.after(0, 10)] == ["ann", "ann"]


def test_an_answer_is_found_by_its_person_alone(state: State) -> None:
    state.served_log.add([answer("r1"), answer("r2", None, "cookie"), answer("r3", None), answer("r4", "bob")])
    find = state.served_log.find
    assert find("r1", "ann") == answer("r1")
    assert find("r1", "bob") is None
    assert find("r1", None, "cookie") is None
    assert find("r1", None) is None
    assert find("r2", "ann", "cookie") == answer("r2", None, "cookie")
    assert find("r3", "bob") == answer("r3", None)
    assert find("r9", "ann") is None


def test_a_login_passes_on_what_a_visitor_was_served_and_refused(state: State) -> None:
    state.served_log.add([answer("r1", None, "cookie")])
    state.dead_letters.keep([letter(1, None, "cookie")])
    state.link("cookie", "ann")
    assert state.served_log.find("r1", "ann") == answer("r1", "ann", "cookie")
    assert [(one.user_id, one.anonymous_id) for one in kept(state)] == [("ann", None)]


def test_an_erasure_takes_both_along(state: State) -> None:
    state.served_log.add([answer("r1"), answer("r2", "bob"), answer("r3", None)])
    state.dead_letters.keep([letter(1), letter(2, "bob"), letter(3, None)])
    held = state.export("ann")
    assert [one["request_id"] for one in held["served"]] == ["r1"]
    assert [one["content"]["event_id"] for one in held["dead_letters"]] == ["e1"]
    state.erase("ann", moment=1_700_000_000_200)
    assert state.served_log.add([answer("r1"), answer("r5", "bob", "cookie")]) == 1
    assert state.dead_letters.keep([letter(1), letter(4)]) == 0
    assert [one.row.request_id for one in state.served_log.after(0, 10)] == ["r2", "r3", "r5"]
    assert [one.content["event_id"] for one in kept(state)] == ["e2", "e3"]
    assert state.export("ann")["served"] == []


def test_of_who_refuses_nothing_is_stored_and_no_id_is_made(state: State) -> None:
    assert state.served_log.add([answer("r1"), answer("r2", None)], admit=nobody) == 1
    assert state.dead_letters.keep([letter(1), letter(2, None)], admit=nobody) == 1
    assert list(state.user_ids()) == []


def test_who_logs_in_is_asked_as_both(state: State) -> None:
    yes, no = (Statement("consent", "measure", said, 5, "person") for said in ("granted", "denied"))
    state.declare("ann", None, [yes])
    assert state.served_log.add([answer("r1", "ann", "cookie")], admit=willing) == 1
    state.declare(None, "cookie", [no, no])
    state.append([StoredEvent("e", "i", "view", 1, "ann")])
    rows = [answer("r2", "ann", "cookie"), answer("r3", "ann")]
    assert state.served_log.add(rows, admit=lambda said: all(one.value == "granted" for one in said)) == 1
    assert state.served_log.find("r2", "ann") is None


def test_a_refused_event_is_kept_once_until_it_is_dropped(state: State) -> None:
    assert state.dead_letters.keep([letter(1), letter(1), letter(2)]) == 2
    assert state.dead_letters.keep([letter(1)._replace(moment=9)]) == 0
    found = state.dead_letters.after(0, 10)
    assert found == [DeadLetter(found[0].number, letter(1)), DeadLetter(found[1].number, letter(2))]
    assert kept(state, found[0].number) == [letter(2)]
    assert state.dead_letters.drop([found[0].number, 99]) == 1
    assert state.dead_letters.drop([]) == 0
    assert kept(state) == [letter(2)]


def test_every_folder_with_a_copy_is_known(state: State) -> None:
    assert state.served_log.exports() == []
    state.served_log.note_export(LogExport("/b", 5, 10, 2))
    state.served_log.note_export(LogExport("/a", 6, 11, 3))
    state.served_log.note_export(LogExport("/b", 7, 12, 4))
    assert state.served_log.exports() == [LogExport("/a", 6, 11, 3), LogExport("/b", 7, 12, 4)]


def test_a_store_without_these_logs_is_given_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    opened = open_state(url)
    with opened._connections.alone() as connection:  # type: ignore[attr-defined]
        for statement in ("DROP TABLE served", "DROP TABLE dead_letters", "ALTER TABLE events DROP COLUMN details"):
            connection.execute(statement)
        connection.execute("PRAGMA user_version=3")
    opened.close()
    later = open_state(url)
    later.append([StoredEvent("e", "i", "view", 1, "ann", details={"dwell": 2.0})])
    assert later.served_log.add([answer("r1")]) == 1
    assert later.export("ann")["events"][0]["details"] == {"dwell": 2.0}
    later.close()


def test_a_visitor_may_bear_the_name_of_a_user(state: State) -> None:
    """Ids of users and of visitors are two worlds, so that no link can lead back to where it began."""
    state.append([StoredEvent("e1", "i1", "view", 1, "ann"), StoredEvent("e2", "i2", "view", 2, None, "ann")])
    state.append([StoredEvent("e3", "i3", "view", 3, None, "bob")])
    assert state.link("ann", "bob") is True
    assert state.link("bob", "ann") is True
    assert list(state.person("bob").events.item_ids) == ["i2"]
    assert list(state.person("ann").events.item_ids) == ["i1", "i3"]

"""What every backend's upkeep must do: the log gives the same state again, and a copy holds what the original holds."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import tailorbird
from features.errors import ConfigError, StateError
from features.statements import Statement
from serving.state import open_event_log, open_item_log, open_key_store, open_state, open_upkeep
from serving.state.audit_log import Deed
from serving.state.dead_letters import Refused
from serving.state.item_log import ItemEdit
from serving.state.key_store import StoredKey
from serving.state.protocol import State, StoredEvent, UserAttributes
from serving.state.served_log import LogExport, ServedItem, ServedRow
from serving.state.upkeep import copy_store

IDS = [("ann", None), ("bob", None), (None, "cookie"), (None, "v")]


def event(number: int, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number % 5}", "view", number, "ann")._replace(**given)


def visit(number: int, name: str = "cookie") -> StoredEvent:
    return event(number, user_id=None, anonymous_id=name)


def fill(url: str) -> None:
    """A store with something of every kind, erased and exported things among it."""
    state, log, events = open_state(url), open_item_log(url), open_event_log(url)
    state.append([event(1, value=2.5, context={"device": "tv", "wörd": None}), visit(2), event(9, user_id="gone")])
    events.mark_exported(2)
    state.append([event(4, user_id="bob", moment=4, type="buy"), visit(5, "v"), event(3, value=1, request_id="r")])
    values = {"plan": "free", "tags": ["a", "b"], "none": None}
    state.set_attributes([UserAttributes("ann", values), UserAttributes("ann", {"plan": "pro"}, moment=5)])
    state.declare(None, "cookie", [Statement("consent", "train", "granted", 3, "person")])
    state.declare("bob", None, [Statement("preference", "strength", None, 4, "company")])
    answer = ServedRow(
        "r1", "ann", "cookie", 5, 5, "default", (ServedItem("i1", 0.1, None),), "b", "ranker", 3, {"k": 2}
    )
    state.served_log.add([answer, answer._replace(request_id="r2", user_id=None, anonymous_id=None)])
    state.served_log.note_export(LogExport("/logs", 7, 2, 1))
    letters = [Refused({"event_id": f"x{name}"}, 5, "no such type", "type", name) for name in ("ann", None)]
    state.dead_letters.keep(letters)
    state.link("cookie", "ann")
    state.audited(Deed("users", "k", 5, "r1", [("ann", None)], {"count": 1})).declare("ann", None, [])
    state.audit_log.note(Deed("promote", "k", 6))
    state.erase("gone", moment=20)
    state.finish(state.erase("stranger", moment=30).receipt_id, {"files": ["a"]})
    log.change([ItemEdit("tea", {"price": 1.5}), ItemEdit("milk", None), ItemEdit("tea", {"price": 2})], 7)
    keys = open_key_store(url)
    keys.add(
        StoredKey("a1", "the web shop", ("recommend", "events"), b"\xff" * 32, 5, None, 2.5, 10), Deed("keys", "k", 7)
    )
    keys.add(StoredKey("b2", "Zażółć", ("admin",), b"\0" * 32, 6), Deed("keys", "k", 8))
    keys.expire("a1", 50, Deed("keys", "k", 9))
    for one in (state, log, events, keys):
        one.close()


def all_of(url: str) -> dict[str, Any]:
    """What a store answers about all that `fill` put in."""
    state, log, events, keys = open_state(url), open_item_log(url), open_event_log(url), open_key_store(url)
    found = {
        "export": [state.export(*ids) for ids in IDS],
        "served": [state.served_log.after(0, 9), state.served_log.exports(), state.served_log.find("r1", "ann")],
        "refused": state.dead_letters.after(0, 9),
        "users": list(state.user_ids()),
        "newest": state.newest_event(),
        "audit": [state.audit_log.after(0), [state.audit_log.keys(*ids) for ids in IDS]],
        "erasures": [state.unfinished(), state.receipts("stranger"), state.tombstones()],
        "items": [log.identity, log.newest(), log.after(0, 99)],
        "events": [events.exported(), [one for one in events.after(0, 99) if one.number > events.exported()]],
        "keys": keys.keys(),
        "known": state.known(["e1", "e2", "e4", "e9"]),
    }
    for one in (state, log, events, keys):
        one.close()
    return found


@pytest.fixture
def target(new_redis_url: Callable[[], str], shared_store_url: str, tmp_path: Path) -> str:
    """A store of the other kind."""
    return f"sqlite:///{tmp_path}/copy.db" if "redis" in shared_store_url else new_redis_url()


def copy(source: str, target: str) -> dict[str, int]:
    return copy_store(open_upkeep(source), open_upkeep(target))


def test_a_copy_answers_as_the_original_in_a_store_of_another_kind(shared_store_url: str, target: str) -> None:
    fill(shared_store_url)
    before = all_of(shared_store_url)
    counts = copy(shared_store_url, target)
    assert (counts["events"], counts["ids"], counts["audit"], counts["item_changes"]) == (5, 4, 5, 2)
    assert all_of(target) == before == all_of(shared_store_url)


def test_a_copy_goes_on_as_the_original_would(shared_store_url: str, target: str) -> None:
    fill(shared_store_url)
    copy(shared_store_url, target)
    state, log, events = open_state(target), open_item_log(target), open_event_log(target)
    newest = events.newest()
    late = [event(1), event(6), event(7, user_id="gone", moment=15), event(8, user_id="new one"), visit(10)]
    assert state.append(late) == ["duplicate", "stored", "erased", "stored", "stored"]
    assert [one.number > newest for one in events.after(newest, 9)] == [True] * 3
    assert log.change([ItemEdit("tea", None)], 9) == [4]
    assert [one.event_id for one in state.history("ann", newest=99)] == ["e1", "e2", "e3", "e6", "e10"]
    state.audit_log.note(Deed("promote", "k", 6))
    assert [entry.number for entry in state.audit_log.after(0)] == [1, 2, 3, 4, 5, 6]
    for one in (state, log, events):
        one.close()


def test_a_copy_that_was_broken_off_is_gone_on_with(shared_store_url: str, target: str) -> None:
    fill(shared_store_url)
    source, begun = open_upkeep(shared_store_url), open_upkeep(target)
    for table, rows in source.rows():
        begun.put(table, rows[:2])
        if table == "events":
            break
    source.close()
    begun.close()
    copy(shared_store_url, target)
    copy(shared_store_url, target)
    assert all_of(target) == all_of(shared_store_url)


def test_a_store_that_holds_something_of_its_own_is_not_written_over(shared_store_url: str, target: str) -> None:
    fill(shared_store_url)
    state = open_state(target)
    state.append([event(77, user_id="somebody else")])
    with pytest.raises(ConfigError, match="holds something of its own"):
        copy(shared_store_url, target)
    assert list(state.user_ids()) == ["somebody else"]
    state.close()


def test_a_copy_that_lacks_something_is_told(shared_store_url: str, target: str) -> None:
    """Here somebody writes to the new store while it is filled."""
    fill(shared_store_url)
    state = open_state(target)
    wrote: list[int] = []

    def write(count: int) -> None:
        if not wrote:
            state.append([event(99, user_id="too early")])
        wrote.append(count)

    with pytest.raises(StateError, match=r"the copy differs from the store in: .*events"):
        copy_store(open_upkeep(shared_store_url), open_upkeep(target), write)
    state.close()


def test_an_empty_store_is_copied_too(shared_store_url: str, target: str) -> None:
    assert copy(shared_store_url, target).get("events", 0) == 0
    assert all_of(target) == {**all_of(shared_store_url), "erasures": all_of(target)["erasures"]}


@pytest.fixture(scope="session")
def reopened(new_redis_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The URL of a new store of a kind, as often as it is called."""
    folder = tmp_path_factory.mktemp("upkeep")
    numbers = iter(range(10**9))
    return lambda kind: new_redis_url() if kind == "redis" else f"sqlite:///{folder}/{next(numbers)}.db"


DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 12), st.sampled_from(["ann", "bob"]), st.integers(0, 9)),
        st.tuples(st.just("visit"), st.integers(0, 12), st.sampled_from(["c", "d"]), st.integers(0, 9)),
        st.tuples(st.just("link"), st.just(0), st.sampled_from(["c", "d"]), st.just(0)),
        st.tuples(st.just("erase"), st.just(0), st.sampled_from(["ann", "bob"]), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.integers(0, 12), st.sampled_from(["ann", "bob"]), st.just(0)),
    ),
    max_size=14,
)


def do(state: State, deeds: list[tuple[str, int, str, int]]) -> None:
    for what, number, who, moment in deeds:
        match what:
            case "event":
                state.append([event(number, user_id=who, moment=moment)])
            case "visit":
                state.append([event(number, user_id=None, anonymous_id=who, moment=moment)])
            case "link":
                state.link(who, "ann")
            case "erase":
                state.erase(who, moment=moment)
            case "remove":
                state.remove_event(who, None, f"e{number}", moment=5)


def people(state: State) -> list[Any]:
    ids = [("ann", None), ("bob", None), (None, "c"), (None, "d")]
    return [*(state.export(*one) for one in ids), list(state.user_ids()), state.newest_event()]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@given(DEEDS)
def test_the_log_gives_the_same_state_again(
    reopened: Callable[[str], str], kind: str, deeds: list[tuple[str, int, str, int]]
) -> None:
    """Whatever happened, what is derived can be made anew; and both kinds of store agree with each other."""
    url = reopened(kind)
    state, other = open_state(url), open_state("sqlite://:memory:")
    do(state, deeds)
    do(other, deeds)
    before = people(state)
    assert before == people(other)
    upkeep = open_upkeep(url)
    upkeep.rebuild()
    assert people(state) == before
    for one in (upkeep, state, other):
        one.close()


def test_what_was_lost_of_derived_tables_is_made_again(shared_store_url: str) -> None:
    broken = shared_store_url
    fill(broken)
    before = all_of(broken)
    if broken.startswith("sqlite"):
        connection = sqlite3.connect(broken.removeprefix("sqlite:///"))
        connection.execute("DELETE FROM taken")
        connection.commit()
        connection.close()
    else:
        with redis.Redis.from_url(broken) as client:
            lost = [key for key in client.scan_iter("tb:p:*") if key.endswith((b":taken", b":order"))]
            client.delete(*lost, *client.scan_iter("tb:id:*"), "tb:users")
    assert all_of(broken) != before
    upkeep = open_upkeep(broken)
    upkeep.rebuild()
    upkeep.close()
    assert all_of(broken) == before


def test_both_are_one_command_each(tmp_path: Path, new_redis_url: Callable[[], str]) -> None:
    source, target = f"sqlite:///{tmp_path}/state.db", new_redis_url()
    fill(source)
    run = CliRunner().invoke(tailorbird.main, ["state", "copy", "--from", source, "--to", target])
    assert run.exit_code == 0, run.output
    assert "5 events" in run.output
    assert all_of(target) == all_of(source)
    again = CliRunner().invoke(tailorbird.main, ["state", "rebuild", "--state", target])
    assert again.output == "taken: 5 rows made again\n"
    assert all_of(target) == all_of(source)

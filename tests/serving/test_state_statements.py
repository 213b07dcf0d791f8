"""What people said, in every backend: oldest first, the newest of a key in force, and gone with the person."""

from collections.abc import Iterator

import pytest

from features.statements import Statement, in_force
from serving.state import open_state
from serving.state.protocol import State


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def consent(moment: int, value: str | None = "granted") -> Statement:
    return Statement("consent", "train", value, moment, "person")


def test_statements_come_back_oldest_first(state: State) -> None:
    assert state.declare("ann", None, [consent(5), Statement("preference", "strength", 0.5, 2, "company")]) == 2
    assert state.declare("ann", None, [consent(3, "denied")]) == 1
    assert [one.moment for one in state.statements("ann")] == [2, 3, 5]
    assert state.statements("ann")[0] == Statement("preference", "strength", 0.5, 2, "company")
    assert state.statements("bob") == []


def test_erasure_reaches_statements(state: State) -> None:
    state.declare("ann", None, [consent(1)])
    assert state.erase("ann", moment=9).removed["statements"] == 1
    assert state.statements("ann") == []


def test_the_newest_statement_of_a_key_is_in_force() -> None:
    said = [consent(1), consent(4, "denied"), consent(9, None)]
    assert in_force(said, 0) == {}
    assert in_force(said, 3)["consent", "train"].value == "granted"
    assert in_force(reversed(said), 8)["consent", "train"].value == "denied"
    assert in_force(said, 9) == {}

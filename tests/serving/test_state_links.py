"""A visitor who logs in becomes a user, in every backend: one past, for good, and nobody else's."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import RequestError
from features.statements import Statement
from serving.state import open_state
from serving.state.protocol import State
from tests.serving.ann import event, seen, taken, visit


@pytest.fixture
def state(store_url: str) -> Iterator[State]:
    opened = open_state(store_url)
    yield opened
    opened.close()


def test_a_login_shows_both_pasts_before_any_link(state: State) -> None:
    state.append([event(1, item_id="tea"), visit(2), visit(3, item_id="tea"), event(4)])
    person = state.person("ann", "cookie")
    assert seen(person) == ["tea", "i2", "tea", "i4"]
    assert taken(person) == {("tea", "view"): 3, ("i2", "view"): 2, ("i4", "view"): 4}
    assert seen(state.person("ann")) == ["tea", "i4"]
    assert seen(state.person("new", "cookie")) == ["i2", "tea"]


def test_a_link_merges_both_pasts_for_good(state: State) -> None:
    state.append([event(1, item_id="tea"), visit(2), visit(3, item_id="tea")])
    assert state.link("cookie", "ann") is True
    assert state.link("cookie", "ann") is False
    state.append([visit(4)])
    for person in (state.person("ann"), state.person(None, "cookie"), state.person("ann", "cookie")):
        assert seen(person) == ["tea", "i2", "tea", "i4"]
        assert taken(person) == {("tea", "view"): 3, ("i2", "view"): 2, ("i4", "view"): 4}


def test_a_link_may_come_before_any_event(state: State) -> None:
    assert state.link("cookie", "ann") is True
    state.append([visit(1)])
    assert seen(state.person("ann")) == ["i1"]


def test_a_visitor_of_one_user_cannot_become_another(state: State) -> None:
    state.append([visit(1), event(2, user_id="bob")])
    state.link("cookie", "ann")
    with pytest.raises(RequestError, match="another user already"):
        state.link("cookie", "bob")
    assert seen(state.person("bob", "cookie")) == ["i2"]
    assert seen(state.person("ann")) == ["i1"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("uvw")), max_size=12))
def test_links_have_no_cycles(new_store_url: Callable[[], str], pairs: list[tuple[str, str]]) -> None:
    """Visitors become users, users become nobody: whatever is linked, a visitor is one user, the first, for good."""
    state, became = open_state(new_store_url()), dict[str, str]()
    for number, (visitor, user) in enumerate(pairs):
        state.append([event(number, user_id=None, anonymous_id=visitor)])
        if became.setdefault(visitor, user) == user:
            state.link(visitor, user)
        else:
            with pytest.raises(RequestError, match="another user already"):
                state.link(visitor, user)
    for visitor, user in became.items():
        assert sorted(seen(state.person(None, visitor))) == sorted(seen(state.person(user)))
    total = sum(len(seen(state.person(user))) for user in set(became.values()))
    assert total == len(pairs)
    state.close()


def consent(moment: int, value: str | None = "granted") -> Statement:
    return Statement("consent", "train", value, moment, "person")


def test_a_visitors_statements_are_the_users_after_the_link(state: State) -> None:
    state.declare("ann", None, [consent(1)])
    state.declare(None, "cookie", [consent(2, "denied")])
    assert [one.value for one in state.statements("ann", "cookie")] == ["granted", "denied"]
    state.link("cookie", "ann")
    assert [one.value for one in state.statements("ann")] == ["granted", "denied"]
    assert state.export("ann")["statements"][1]["value"] == "denied"


def test_a_visitor_is_a_user_from_the_merge_on(state: State) -> None:
    assert state.user_of("cookie") is None
    state.append([visit(1), event(2)])
    assert state.user_of("cookie") is None
    state.link("cookie", "ann")
    assert state.user_of("cookie") == "ann"
    assert state.user_of("ann") is None, "a user's id is no visitor's"

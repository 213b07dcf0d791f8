"""Declared preferences as of a moment: what holds, what has ended, and what a merge keeps."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from features.joining import joined, settled
from features.preferences import (
    NONE,
    Category,
    Declared,
    Preferences,
    declaration,
    declared_in,
    key_of,
    preferences_of,
    target_of,
)
from features.statements import Statement

DRAMA, NOIR = Category("genre", "drama"), Category("genre", "noir")
LATE = 1_000


def said(target: Any, value: Any, moment: int = 1, until: int | None = None) -> Statement:
    return declaration(Declared(target, value, until), moment, "person")


def of(*statements: Statement, now: int = LATE) -> Preferences:
    return preferences_of(statements, now, now)


def test_who_declared_nothing_has_the_empty_record() -> None:
    assert of() is NONE
    assert of(Statement("consent", "personalize", "granted", 1, "person")) is NONE
    assert of(Statement("preference", "of a later version", {"x": 1}, 1, "person")) is NONE


def test_each_preference_has_its_place() -> None:
    found = of(
        said("i1", "hide"),
        said("i2", "dislike"),
        said("i3", "like", 7),
        said(DRAMA, "like", 2),
        said(NOIR, "pin", 3),
        said(Category("brand", "x"), "hide"),
        said(Category("brand", "y"), "dislike"),
        said(None, 0.25),
    )
    assert found == Preferences(
        hidden_items=frozenset({"i1", "i2"}),
        hidden=frozenset({Category("brand", "x")}),
        liked_items=(("i3", 7),),
        interests=(NOIR, DRAMA),
        pinned=(NOIR,),
        disliked=frozenset({Category("brand", "y")}),
        strength=0.25,
    )
    assert found.hiding == Preferences(frozenset({"i1", "i2"}), frozenset({Category("brand", "x")}))
    assert of(said(DRAMA, "like")).hiding is NONE


def test_a_strength_of_nothing_is_not_the_default() -> None:
    assert of(said(None, 0.0)).strength == 0.0
    assert of(said(None, 0.0), said(None, None, 2)).strength == 1.0


def test_the_later_of_two_on_one_target_stands_until_it_ends() -> None:
    both = [said("i1", "like"), said("i1", "hide", 2, until=50)]
    assert of(*both, now=49).hidden_items == {"i1"}
    assert of(*both, now=50) is NONE
    assert of(*both, said("i1", None, 3), now=49) is NONE


@given(st.one_of(st.none(), st.text(), st.builds(Category, st.text(), st.text())))
def test_a_key_names_its_target(target: str | Category | None) -> None:
    assert target_of(key_of(target)) == target


@given(st.sampled_from(["like", "hide"]), st.one_of(st.none(), st.integers(0, 9)))
def test_a_statement_says_what_was_declared(value: Any, until: int | None) -> None:
    declared = Declared(DRAMA, value, until)
    assert declared_in(declaration(declared, 1, "person")) == declared


def test_a_merge_keeps_what_either_hid() -> None:
    user, visitor = [said("i1", "hide", 1), said("i2", "like", 9)], [said("i1", "like", 5), said("i2", "hide", 2)]
    assert of(*joined(user, visitor)).hidden_items == {"i1", "i2"}
    taken_back = [said("i1", "hide", 3), said("i1", None, 6)]
    assert of(*joined(user, taken_back)).hidden_items == {"i1"}
    assert of(*joined(taken_back, [said("i1", "like", 7)])).hidden_items == frozenset()


def test_of_two_hides_the_longer_stands() -> None:
    for first, second in ((40, None), (None, 40), (40, 60), (60, 40)):
        both = joined([said(DRAMA, "hide", 1, first)], [said(DRAMA, "hide", 2, second)])
        assert of(*both, now=45).hidden == {DRAMA}


def test_the_users_own_strength_stands() -> None:
    user, visitor = [said(None, 0.2, 1)], [said(None, 0.9, 5)]
    assert of(*joined(user, visitor)).strength == 0.2
    assert of(*joined([], visitor)).strength == 0.9
    assert settled([], visitor) == []


_SAID = st.lists(
    st.builds(
        said,
        st.sampled_from(["i1", "i2", DRAMA]),
        st.sampled_from(["like", "dislike", "hide", None]),
        st.integers(0, 9),
        st.sampled_from([None, 20, 2_000]),
    ),
    max_size=6,
)


@given(_SAID, _SAID)
def test_no_merge_shows_what_either_hid(user: list[Statement], visitor: list[Statement]) -> None:
    both = of(*joined(user, visitor))
    for one in (of(*user), of(*visitor)):
        assert one.hidden_items <= both.hidden_items
        assert one.hidden <= both.hidden

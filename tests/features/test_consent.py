"""The decision on consent: opt-in, history, the stricter answer, and what a config may say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.consent import MERGED, OPT_IN, STORING, ConsentRules, Purpose, decide, storable, stricter
from features.errors import ConfigError
from features.joining import joined
from features.statements import Statement

PURPOSES = [*Purpose]
ANSWERS = st.builds(
    Statement,
    st.just("consent"),
    st.sampled_from(PURPOSES),
    st.sampled_from(["granted", "denied", None]),
    st.integers(0, 9),
    st.just("person"),
)
LISTS = st.lists(ANSWERS, max_size=8)
LENIENT = ConsentRules.parse({"personalize": {"unknown": "granted", "basis": "a contract"}})


def said(answer: str | None, moment: int = 5, purpose: str = "personalize") -> Statement:
    return Statement("consent", purpose, answer, moment, "banner")


@pytest.mark.parametrize("purpose", PURPOSES)
def test_silence_denies_unless_a_rule_says_otherwise(purpose: Purpose) -> None:
    assert decide(purpose, [], OPT_IN, 9) == (purpose, "unknown", False, None, None)
    assert decide(purpose, [], LENIENT, 9).allowed is (purpose == "personalize")


def test_a_rule_of_silence_gives_its_basis() -> None:
    assert decide("personalize", [], LENIENT, 9) == ("personalize", "unknown", True, "a contract", None)


def test_the_newest_answer_of_the_purpose_holds() -> None:
    other = [said("denied", 8, "train"), Statement("preference", "personalize", "x", 9, "person")]
    statements = [said("denied", 7), said("granted", 5), *other]
    assert decide("personalize", statements, OPT_IN, 9) == ("personalize", "denied", False, "banner", 7)
    assert decide("personalize", statements, OPT_IN, 6) == ("personalize", "granted", True, "banner", 5)
    assert decide("personalize", statements, OPT_IN, 4).state == "unknown"


def test_an_answer_beats_the_rule_of_silence() -> None:
    assert not decide("personalize", [said("denied")], LENIENT, 9).allowed


def test_an_answer_taken_back_is_silence_again() -> None:
    assert decide("personalize", [said("granted", 5), said(None, 6)], OPT_IN, 9).state == "unknown"


def test_what_is_no_answer_denies() -> None:
    assert not decide("personalize", [said("perhaps")], LENIENT, 9).allowed


@pytest.mark.parametrize("purpose", PURPOSES)
def test_one_purpose_that_stores_is_enough(purpose: Purpose) -> None:
    assert storable([said("granted", purpose=purpose)], OPT_IN, 9) is (purpose in STORING)


@given(LISTS, LISTS)
def test_two_people_as_one_allow_what_neither_denies(first: list[Statement], second: list[Statement]) -> None:
    both = joined(first, second)
    for purpose in PURPOSES:
        states = {decide(purpose, each, OPT_IN, 9).state for each in (first, second)}
        strictest = next((one for one in ("denied", "granted") if one in states), "unknown")
        taken_back = any(one.key == purpose and one.value is None for one in both)
        found = decide(purpose, both, LENIENT, 9).state
        assert found == strictest or (taken_back and (strictest, found) == ("granted", "unknown"))


@given(LISTS, LISTS)
def test_who_comes_first_does_not_matter(first: list[Statement], second: list[Statement]) -> None:
    assert stricter(first, second) == stricter(second, first)


@given(LISTS, LISTS)
def test_a_merge_only_ever_denies(first: list[Statement], second: list[Statement]) -> None:
    added = stricter(first, second)
    assert {(one.value, one.source) for one in added} <= {("denied", MERGED)}
    assert added == [] or any(one.value == "denied" for one in (*first, *second))


@pytest.mark.parametrize(
    ("rules", "field", "message"),
    [
        ({"personalize": {"unknown": "granted"}}, "serving.consent.personalize", "needs a `basis`"),
        ({"personalise": {}}, "serving.consent.personalise", "no such key"),
        ({"further": {"train": {}}}, "serving.consent", "no further purpose"),
        ({"train": {"unknown": "perhaps"}}, "serving.consent.train.unknown", "got 'perhaps'"),
    ],
)
def test_rules_that_say_nothing_clear_are_refused(rules: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        ConsentRules.parse(rules, "serving.consent")
    assert told.value.field == field


def test_a_config_may_name_further_purposes() -> None:
    rules = ConsentRules.parse({"further": {"newsletter": {"unknown": "granted", "basis": "asked on paper"}}})
    assert rules.purposes == (*Purpose, "newsletter")
    assert decide("newsletter", [], rules, 9).allowed
    with pytest.raises(ValueError, match="is not a valid Purpose"):
        decide("newsletter", [], OPT_IN, 9)

"""Sentences: plurals as CLDR has them, every language whole, and what happens without one."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_args

import httpx
import pytest
import yaml

from features.errors import ConfigError
from serving.answers import Code, Obstacle, Reason, Standing, Stop
from serving.reasons.plurals import category
from serving.reasons.sentences import obstacle_sentence, sentence_of, shown_sentence
from serving.reasons.wording import FOLDER, Languages, fields_of, known_languages, language_of, read_language

POLISH = read_language("pl").plurals


def polish(number: int) -> str:
    """The rule as grammars have it."""
    if number == 1:
        return "one"
    return "few" if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else "many"


def test_polish_plurals_are_those_of_the_grammar() -> None:
    assert [category(number, POLISH) for number in range(1200)] == [polish(number) for number in range(1200)]


def test_english_has_two_forms() -> None:
    rules = read_language("en").plurals
    assert {number: category(number, rules) for number in (0, 1, 2, 11, 21)} == {
        0: "other", 1: "one", 2: "other", 11: "other", 21: "other",
    }  # fmt: skip


def test_rules_of_other_languages_can_be_copied_from_cldr() -> None:
    slovenian = {"one": "v = 0 and i % 100 = 1", "few": "v = 0 and i % 100 = 3..4 or v != 0"}
    assert [category(number, slovenian) for number in (1, 2, 3, 101, 104, 5)] == [
        "one", "other", "few", "one", "few", "other",
    ]  # fmt: skip
    assert category(0, {"zero": "n = 0,10..11"}) == category(11, {"zero": "n = 0,10..11"}) == "zero"


@pytest.mark.parametrize("name", known_languages())
def test_every_language_can_say_everything(name: str) -> None:
    """The example of each code is whole, no placeholder is left, and nothing is asked for that a reason lacks."""
    language = read_language(name)
    known = {one.name for one in fields(Reason)}
    assert all(fields_of(template) <= known for template in language.reasons.values())
    words = Languages([name]).words(None, timed=True)
    for code in get_args(Code):
        for number in (0, 1, 2, 5, 12, 22, 101):
            reason = Reason(code, item_id="i1", name="plan", value="x", place=3)
            reason = replace(reason, times=number, count=number, days=number)
            said = [sentence_of(reason, language), sentence_of(Reason("attribute", protected=True), language)]
            assert all(one and "{" not in one for one in said)
    for stop in get_args(Stop):
        for until in (None, 1_767_225_600_000):
            obstacle = Obstacle(stop, 1_767_225_600_000, until, "buy", 1_767_225_600_000, "price < 3", 0.2)
            assert "{" not in obstacle_sentence(Standing("i1", 20, place=30, score=0.1), obstacle, words)


def test_names_are_quoted_and_may_hold_anything() -> None:
    said = sentence_of(Reason("nearest", title="A {times} {0.__class__} B"), read_language("en"))
    assert "“A {times} {0.__class__} B”" in said


def test_numbers_agree_in_polish() -> None:
    said = [sentence_of(Reason("popular", place=1, count=count), read_language("pl")) for count in (1, 3, 5, 22)]
    assert [one.split(": ")[1].split(" do")[0] for one in said] == ["1 wybór", "3 wybory", "5 wyborów", "22 wybory"]


def test_scores_are_told_apart() -> None:
    words = Languages(["en"]).words(None, timed=True)
    standing = Standing("i1", 20, place=21, score=0.0240001)
    said = obstacle_sentence(standing, Obstacle("ranked_low", needed=0.0240002), words)
    assert "0.0240002" in said
    assert "0.0240001" in said
    assert "place 3 of 20" in shown_sentence(Standing("i1", 20, place=3), words)


def test_moments_are_told_as_people_write_them() -> None:
    born, left = 641_520_000_000, 1_779_301_487_947
    said = {name: read_language(name).when(born) for name in known_languages()}
    assert said == {"en": "1 May 1990", "pl": "1 maja 1990"}
    assert read_language("pl").when(left) == "20 maja 2026, 18:24 UTC"
    reason = Reason("attribute", name="birth_date", value="1990-05-01", moment=born, protected=True)
    assert sentence_of(reason, read_language("en")).endswith("birth_date is “1 May 1990”.")
    bought = Obstacle("taken", event_type="buy", event_moment=left, until=born)
    said_of = obstacle_sentence(Standing("i1", 20), bought, Languages(["en"]).words(None, timed=True))
    assert said_of == "It stays away after your “buy” of 20 May 2026, 18:24 UTC, until 1 May 1990."


def test_moments_of_mere_order_are_numbers() -> None:
    words = Languages(["en"]).words(None, timed=False)
    bought = Obstacle("taken", event_type="buy", event_moment=17)
    assert obstacle_sentence(Standing("i1", 20), bought, words).endswith("“buy” of 17.")


@pytest.mark.parametrize(
    ("asked", "given", "missing"),
    [
        (None, "en", None),
        ("", "en", None),
        ("pl", "pl", None),
        ("pl-PL", "pl", None),
        ("PL_pl", "pl", None),
        ("en-GB-oed", "en", None),
        ("de-AT", "en", "de-AT"),
        ("???", "en", "???"),
    ],
)
def test_a_locale_finds_its_language_or_the_first(asked: str | None, given: str, missing: str | None) -> None:
    words = Languages(["en", "pl"]).words(asked, timed=True)
    assert (words.language.name, words.missing) == (given, missing)


def test_a_language_without_a_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="no sentences in 'xx'; there are some in en, pl") as caught:
        Languages(["en", "xx"])
    assert caught.value.field == "serving.languages"


def _spoiled(change: Mapping[str, Any]) -> dict[str, Any]:
    content = yaml.safe_load((FOLDER / "en.yaml").read_text(encoding="utf-8"))
    return {**content, **{name: {**content[name], **value} if isinstance(value, dict) else value
                          for name, value in change.items()}}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quotes": None}, "must hold plurals, two quotes"),
        ({"times": None}, "must hold plurals, two quotes, times"),
        ({"times": {"months": ["May"]}}, "times.months has 1 names, not 12"),
        ({"times": {"date": "{moon}"}}, "times.date asks for moon"),
        ({"plurals": {"one": "i is 1"}}, "'i is 1' is no plural rule"),
        ({"reasons": {"nearest": None}}, "reasons.nearest has no sentence"),
        ({"stops": {"taken": None}}, "stops.taken has no sentence"),
        ({"plurals": {"few": "i = 2"}}, "reasons.again lacks few"),
        ({"reasons": {"again": {"one": "x", "other": "y"}}}, "reasons.again lacks by"),
        ({"reasons": {"nearest": "It is like {titel}."}}, "reasons.nearest asks for titel"),
    ],
)
def test_a_file_that_is_not_whole_says_what_it_lacks(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        language_of("xx", _spoiled(change))


def test_a_file_that_is_no_yaml_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "zz.yaml").write_text("plurals: {", encoding="utf-8")
    monkeypatch.setattr("serving.reasons.wording.FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"zz\.yaml is not valid YAML"):
        read_language("zz")


def test_the_language_comes_from_the_request(client: httpx.Client) -> None:
    event = {"event_id": "l1", "user_id": "ewa", "item_id": "i3", "type": "view"}
    client.post("/v1/events", json={"events": [event]})

    def said(**asked: Any) -> tuple[Any, Any, Any]:
        body = client.post("/v1/recommend", json={"user_id": "ewa", "k": 1, "explain": True, **asked}).json()
        return body["items"][0]["reasons"][0]["sentence"], body["language"], body.get("language_missing")

    assert said() == ("Often chosen after “Title i3”, which is in your history.", "en", None)
    polish = ("Ta pozycja jest często wybierana po pozycji „Title i3” z Twojej historii.", "pl", None)
    assert said(language="pl") == said(context={"locale": "pl-PL"}) == polish
    assert said(language="pl", context={"locale": "de"}) == polish
    assert said(context={"locale": "de-AT"})[1:] == ("en", "de-AT")


def test_what_is_no_language_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/recommend", json={"explain": True, "language": "p l"})
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "language"

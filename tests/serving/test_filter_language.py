"""The filter language as it is documented: its page, its errors with their places, its limits."""

import re
from pathlib import Path

import pytest

from features.dataset import DatasetConfig
from features.errors import RequestError
from features.person import Person
from serving.api.requests import Context
from serving.filters import Filter, FilterReader, parse_filter
from serving.filters.checking import CIRCUMSTANCES
from serving.filters.folding import Folding
from serving.filters.parsing import MAX_CHARACTERS, MAX_CONDITIONS, MAX_DAYS, MAX_DEPTH, MAX_VALUES

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
STATIC = {"static": True}
TEXT, MANY, NUMBER, TIME = (
    {"role": role, **STATIC} for role in ("categorical", "multi_categorical", "numeric", "time")
)
SHOP = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {"type": "type", "context": {"mood": TEXT}},
        "types": {"view": {}, "purchase": {}, "add-to-cart": {}, "shown": {"sign": "exposure"}},
        "users": {
            "columns": {
                "country": TEXT,
                "dislikes": MANY,
                "budget": NUMBER,
                "born": {"role": "birth_date", **STATIC},
                "about": {"role": "text", **STATIC},
            }
        },
        "items": {
            "columns": {
                "genre": MANY,
                "countries": MANY,
                "blocked_countries": MANY,
                "brand": TEXT,
                "rating": TEXT,
                "screen format": TEXT,
                "price": NUMBER,
                "published": TIME,
                "story": {"role": "text", **STATIC},
            }
        },
    }
)
UNTIMED = DatasetConfig.parse(
    {"order": {"sequence": "n"}, "events": {}, "types": {"view": {}}, "items": {"columns": {"published": TIME}}}
)


def read(text: str) -> Filter:
    return parse_filter(text, SHOP)


def refusal(text: str, dataset: DatasetConfig = SHOP) -> str:
    with pytest.raises(RequestError) as refused:
        parse_filter(text, dataset)
    assert refused.value.field == "filter"
    return str(refused.value)


def test_every_example_of_the_page_is_a_filter() -> None:
    blocks = re.findall(r"^```filter\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    examples = "".join(blocks).splitlines()
    assert len(examples) > 10
    for example in examples:
        assert read(read(example).text) == read(example)


def test_the_page_shows_an_error_as_it_is() -> None:
    few = DatasetConfig.parse(
        {
            "order": {"time": "t"},
            "events": {},
            "types": {"view": {}},
            "items": {"columns": {"genre": TEXT, "price": NUMBER}},
        }
    )
    assert refusal('gnere = "drama"', few) in PAGE


def test_the_page_tells_the_limits() -> None:
    told = (
        f"at most {MAX_CHARACTERS:,} characters, {MAX_CONDITIONS} conditions, {MAX_DEPTH} levels of conditions in each "
        f"other, {MAX_VALUES:,} values in a list, and durations up to {MAX_DAYS:,} days"
    )
    assert told in " ".join(PAGE.split())


def test_the_context_that_a_filter_may_name_is_that_of_a_request() -> None:
    assert set(CIRCUMSTANCES) == Context.model_fields.keys() - {"time"}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("20 > price", "price < 20"),
        ('"drama" in genre', 'genre = "drama"'),
        ('"drama" not in genre', 'not genre = "drama"'),
        ("user.country not in countries", "not countries = user.country and not user.country is missing"),
        ("price is not missing", "not price is missing"),
        ("not not price = 1", "price = 1"),
        ("price = 1 and (price = 1 and price in [3, 2, 3.0])", "price = 1 and price in [2, 3]"),
        ("price = 1 or price < 1 and price > 0", "(price < 1 and price > 0) or price = 1"),
        ("((((price = -0.0))))", "price = 0"),
        ("brand in []", "brand in []"),
        ("seen as purchase within 48h", 'seen as "purchase" within 2d'),
        ("seen within 90m", "seen within 90m"),
        ("published > now + 14d", "published > now + 2w"),
        ("available at 2026-05-01T18:00:00.5+02:00", "available at 2026-05-01T16:00:00.500000Z"),
        (r"""brand = ' it\'s "x" \\ '""", r'''brand = "it's \"x\" \\"'''),
        ("andrew = 1", None),
    ],
)
def test_equal_filters_are_written_alike(text: str, normal: str | None) -> None:
    if normal is None:
        assert "no attribute of items called andrew" in refusal(text)
    else:
        assert read(text).text == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the filter is empty. Leave the field out"),
        ("price <", "line 1, column 7: the filter ends too early. Next may come: .*a number"),
        ("price < 20 AND seen", "line 1, column 12: AND cannot stand here. Here may come: the end, `and`, `or`"),
        ("price < 20\nand and seen", "line 2, column 5: and cannot stand here"),
        ('brand = "acme', 'line 1, column 9: what begins with " here has no end'),
        ("price < 20 & seen", "line 1, column 12: there is no sign '&'. Write `and`"),
        ("price < 20 # cheap", "line 1, column 12: nothing can be made of '#' here"),
        ("brand = " + "x" * 60 + " 3", r"column 70: 3 cannot stand here"),
        ("x" * 60 + " = 1", r"called x{40}…\. There are"),
        ('gnere = "drama"', "column 1: there is no attribute of items called gnere. Did you mean genre?"),
        ("genre = drama", 'column 9: there is no attribute of items called drama.*A text stands in quotes: "drama"'),
        ('user.city = "x"', "column 6: there is no attribute of users called city. There are: born, budget, country"),
        ('context.x = "x"', "no value of the context called x. There are: channel, device, locale, mood"),
        ('story = "x"', "column 1: story is free text, which towers read"),
        ("user.about is missing", "user.about is free text"),
        ('price < "20"', 'column 9: price is a number and "20" a text. Numbers stand without quotes'),
        ("brand = 7", "column 9: brand is a text and 7 a number. A text stands in quotes"),
        ('published > "2026"', "column 13: published is a time and .* Times stand without quotes, as 2026-05-01"),
        ("brand in [user.budget]", "brand is a text and user.budget a number. Only values of one kind"),
        ('genre < "m"', "< orders numbers and times, and genre is text. Write = or in"),
        ("brand = rating", "column 9: rating is an attribute of items, too, .*Compare with a value"),
        ("brand in genre", "genre is an attribute of items, too"),
        ('"a" in [brand, genre]', "is an attribute of items, too"),
        ('brand in "acme"', r'column 10: `in` wants a list. Write it in brackets: \["acme"\]'),
        ("20 is missing", "column 1: 20 is never missing"),
        ('brand = " "', "column 9: a text cannot be empty"),
        ("price < 1e999", "column 9: this number is too large"),
        ("published < 2026-13-01", "column 13: there is no such time"),
        ("available at 2026-05-01T18:00", "column 14: a time of day needs a zone. Write 2026-05-01T18:00Z"),
        ("available at 18", "column 14: 18 cannot stand here. Here may come: `now`, a time"),
        ("seen as hug", "column 9: there is no such event type. The types are: view, purchase, add-to-cart"),
        ("seen as shown", "column 9: events of this type are exposures, which nobody did"),
        ("seen within 0d", "column 13: a duration is more than nothing and at most 36500d"),
        ("seen within 99999999w", "a duration is more than nothing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_its_remedy(text: str, message: str) -> None:
    assert re.search(message, refusal(text)), refusal(text)


def test_without_times_nothing_is_asked_of_the_clock() -> None:
    assert parse_filter("seen and published < 2026-05-01", UNTIMED)
    assert "nothing is so many days old" in refusal("seen within 3d", UNTIMED)
    assert "there is no now" in refusal("available at now", UNTIMED)
    assert "There are none" in refusal('user.country = "de"', UNTIMED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price = 1 " * 2_001, "at most 20000 characters; this one has 20010"),
        (" and ".join(f"price = {number}" for number in range(201)), "at most 200 conditions"),
        (f"price in [{', '.join(map(str, range(1_001)))}]", "at most 1000 values; this one has 1001"),
        ("not (seen or " * 1_000 + "seen" + ")" * 1_000, "nested more than 20 deep"),
    ],
)
def test_a_filter_that_is_too_large_is_refused(text: str, message: str) -> None:
    assert message in refusal(text)


def test_brackets_and_doubled_negations_are_no_depth() -> None:
    assert read("(" * 9_000 + "price = 1" + ")" * 9_000).text == "price = 1"
    assert read("not " * 4_001 + "seen").text == "not seen"
    assert read(" and ".join(f"price != {number}" for number in range(200))).expression.depth == 2


def test_a_reader_reads_a_text_once() -> None:
    reader = FilterReader(SHOP)
    assert reader.read("price < 20") is reader.read("price < 20")
    with pytest.raises(RequestError, match="ends too early"):
        reader.read("price <")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ('brand = "a" and user.country = "de"', 'brand = "a"'),
        ('brand = "a" and user.country = "pl"', False),
        ('brand = "a" or user.country = "de"', True),
        ("countries = user.country", 'countries in ["de"]'),
        ("genre not in user.dislikes", 'genre not in ["gore", "war"]'),
        ("genre != user.dislikes", 'genre not in ["gore", "war"]'),
        ("price < user.budget", False),
        ("context.device is missing or not (seen and context.mood = context.device)", True),
        ("user.born < now - 9000d", True),
        ("published > now - 30d", "published > now - 30d"),
        ("published = now", "published in [1970-01-12T13:46:40Z]"),
    ],
)
def test_what_the_person_is_becomes_constant(text: str, folded: str | bool) -> None:
    person = Person(attributes={"country": "de", "dislikes": ["war", "gore"], "budget": "much", "born": "1940-01-01"})
    found = Folding(SHOP, person, 1_000_000_000).fold(read(text).expression)
    assert (found if isinstance(found, bool) else found.text) == folded

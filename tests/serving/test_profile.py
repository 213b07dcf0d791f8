"""What a person is shown of themselves: facts with their ids, what is made of them, what for; and putting it right."""

from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from pydantic import ValidationError

from features.dataset import ColumnConfig, DatasetConfig
from features.encoders import fit_field
from features.errors import RequestError
from features.moments import DAY, HOUR
from features.statements import Statement
from features.vocabulary import PAD, RESERVED
from serving.api.requests import RecommendRequest
from serving.desk.desk import Desk
from serving.person.interests import Interest, inferred_interests, segment
from serving.person.profile import CorrectRequest, ProfileRequest, correct, profile
from serving.person.settings import RetentionConfig
from serving.state.protocol import State, StoredEvent, UserAttributes

NOW = 1_767_225_600_000
SHOP = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {"type": "type"},
        "types": {"view": {}, "buy": {"weight": 3}, "return": {"sign": "negative"}, "shown": {"sign": "exposure"}},
    }
)
GENRES = {"i0": "drama", "i1": "drama", "i2": "crime", "i3": None}
TAGS = {"i0": ["a", "b"], "i1": ["a"], "i2": [], "i3": ["b"]}


def event(number: int, days: float = 0.0, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", NOW - round(days * DAY), "ann")._replace(**given)


def shop(timed: bool = True) -> tuple[Any, Any]:
    """A schema and a catalogue of four items with a genre and tags."""
    ids = sorted(GENRES)
    genre = fit_field("genre", cast("Any", ColumnConfig(role="categorical")), [GENRES[one] for one in ids])
    tags = fit_field("tags", cast("Any", ColumnConfig(role="multi_categorical")), [TAGS[one] for one in ids])
    of_items = np.hstack([genre.encode(GENRES[one] for one in ids), tags.encode(TAGS[one] for one in ids)])
    codes = np.vstack([np.full((RESERVED, of_items.shape[1]), PAD), of_items])
    items = SimpleNamespace(rows=lambda asked: np.array([RESERVED + ids.index(one) for one in asked]))
    schema = SimpleNamespace(items=items, item_fields=(genre, tags), dataset=SHOP, timed=timed)
    return schema, SimpleNamespace(codes=codes)


def test_interests_are_what_the_past_says(state: State) -> None:
    events = [event(0), event(1, 30, type="buy"), event(2), event(3), event(1, type="shown"), event(2, type="return")]
    found = inferred_interests(events, *shop(), NOW)
    total = 1 + 3 * 0.5 + 1 + 1
    assert [(one.attribute, one.value, one.events, one.item_ids) for one in found] == [
        ("genre", "drama", 2, ("i1", "i0")),
        ("genre", "crime", 1, ("i2",)),
        ("tags", "a", 2, ("i1", "i0")),
        ("tags", "b", 2, ("i3", "i0")),
    ]
    assert [one.share for one in found] == pytest.approx([2.5 / total, 1 / total, 2 / total, 1.5 / total])
    assert inferred_interests([event(0, type="shown"), event(1, type="gone")], *shop(), NOW) == []
    plain = inferred_interests([event(0), event(2, 900)], *shop(timed=False), NOW)
    assert plain[:2] == [Interest("genre", "crime", 0.5, 1, ("i2",)), Interest("genre", "drama", 0.5, 1, ("i0",))]


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([], "nobody known"),
        ([0.5], "newcomer: first seen 0 days ago"),
        ([50, 40], "away: last seen 40 days ago"),
        ([60, 3], "occasional: active on 1 day of the last 28"),
        ([60, *range(4)], "regular: active on 4 days of the last 28"),
        ([60, *range(14)], "frequent: active on 14 days of the last 28"),
    ],
)
def test_a_segment_is_told_in_words(days: list[float], said: str) -> None:
    assert segment([event(number, one) for number, one in enumerate(days)], shop()[0], NOW).startswith(said)


def test_a_segment_without_times_says_so() -> None:
    assert segment([event(1)], shop(timed=False)[0], NOW).startswith("1 event held; without times")


def test_everything_known_is_shown(desk: Desk, state: State) -> None:
    state.append([event(1, 1), event(2, 0.5, type="buy", value=2.5), event(3, 0.1, type="shown"), event(99)])
    state.set_attributes([UserAttributes("ann", {"city": "Bern"}), UserAttributes("ann", {"plan": "pro"}, NOW - DAY)])
    state.declare("ann", None, [Statement("consent", "train", "denied", NOW - HOUR, "person")])
    state.declare("ann", None, [Statement("consent", "personalize", "granted", NOW - HOUR, "person")])
    shown = profile(desk, ProfileRequest(user_id="ann", newest=3), "r")
    assert [(one.event_id, one.type, one.title) for one in shown.events] == [
        ("e99", "view", None),
        ("e3", "shown", "Title i3"),
        ("e2", "buy", "Title i2"),
    ]
    assert (shown.events[2].value, shown.items_taken) == (2.5, 4)
    assert [(one.name, one.value, one.since) for one in shown.attributes] == [
        ("city", "Bern", None),
        ("plan", "pro", "2025-12-31T00:00:00.000Z"),
    ]
    assert [(one.key, one.value) for one in shown.declared] == [("personalize", "granted"), ("train", "denied")]
    assert shown.inferred.segment.startswith("newcomer")
    uses = {one.what: one for one in shown.uses}
    assert uses["events of type view"].purposes == {"personalize": True, "train": False, "measure": True}
    assert uses["events of type view"].kept == "until it is erased"
    assert set(uses) == {
        *(f"events of type {one}" for one in desk.schema.types),
        "answers that were given",
        "events that were refused",
        "attributes",
        "consent and preferences",
    }


def test_how_long_it_is_kept_is_told_by_type_and_by_what_the_person_allows(desk: Desk, state: State) -> None:
    limits = {"events": {"view": 90}, "purposes": {"measure": 30, "train": 60}, "served": 14, "dead_letters": 7}
    desk.retention = RetentionConfig.parse(limits)

    def kept() -> dict[str, str]:
        shown = profile(desk, ProfileRequest(user_id="ann"), "r")
        return {one.what: one.kept for one in shown.uses}

    assert kept()["events of type view"] == "90 days"
    assert kept()["events of type buy"] == "until it is erased", "personalize is allowed and has no end"
    state.declare("ann", None, [Statement("consent", "personalize", "denied", NOW, "person")])
    assert (kept()["events of type view"], kept()["events of type buy"]) == ("60 days", "60 days")
    state.declare("ann", None, [Statement("consent", one, "denied", NOW, "person") for one in ("train", "measure")])
    assert kept()["events of type buy"] == "30 days"
    assert (kept()["answers that were given"], kept()["events that were refused"]) == ("14 days", "7 days")


def test_a_stranger_sees_an_empty_record(desk: Desk) -> None:
    shown = profile(desk, ProfileRequest(user_id="nobody"), "r")
    assert (shown.events, shown.items_taken, shown.attributes, shown.declared) == ([], 0, [], [])


def test_a_correction_acts_at_once(desk: Desk, state: State) -> None:
    state.append([event(1), event(2), event(3, user_id="bob")])
    state.set_attributes([UserAttributes("ann", {"city": "Bern", "plan": "pro"})])
    asked = CorrectRequest(user_id="ann", remove_events=["e2", "e3", "e2"], attributes={"city": "Rome", "plan": None})
    told = correct(desk, asked, "r")
    assert (told.removed_events, told.unknown_events, told.attributes) == (["e2"], ["e3"], ["city", "plan"])
    desk.recommend(RecommendRequest(user_id="ann"), "r")
    shown = profile(desk, ProfileRequest(user_id="ann"), "r")
    assert [one.event_id for one in shown.events] == ["e1"]
    assert [(one.name, one.value) for one in shown.attributes] == [("city", "Rome")]
    assert state.append([event(2)]) == ["erased"]
    assert len(state.history("bob", newest=9)) == 1


def test_a_wrong_correction_changes_nothing(desk: Desk, state: State) -> None:
    state.append([event(1)])
    with pytest.raises(RequestError, match="no such column"):
        correct(desk, CorrectRequest(user_id="ann", remove_events=["e1"], attributes={"colour": 1}), "r")
    assert len(state.history("ann", newest=9)) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"remove_events": ["e"]}, "give user_id"),
        ({"user_id": "ann"}, "name what is wrong"),
        ({"anonymous_id": "v", "attributes": {"city": "a"}}, "attributes are of users"),
        ({"user_id": "ann", "remove_events": [7]}, "string"),
    ],
)
def test_a_correction_of_nothing_or_nobody_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        CorrectRequest.model_validate(asked)


def test_over_http(client: httpx.Client) -> None:
    one = {"event_id": "p-1", "item_id": "i1", "type": "view", "user_id": "eve"}
    client.post("/v1/consent", json={"user_id": "eve", "answers": {"personalize": "granted"}})
    client.post("/v1/events", json={"events": [one]})
    shown = client.post("/v1/profile", json={"user_id": "eve"}).json()
    assert [event["event_id"] for event in shown["events"]] == ["p-1"]
    told = client.post("/v1/profile/correct", json={"user_id": "eve", "remove_events": ["p-1"]}).json()
    assert told["removed_events"] == ["p-1"]
    assert client.post("/v1/profile", json={"user_id": "eve"}).json()["events"] == []
    assert client.post("/v1/profile/correct", json={"user_id": "eve"}).status_code == 400


@pytest.mark.parametrize(
    "stored", ["1990-05-01", "1990-05-01T00:00:00", "1990-05-01T00:00:00+02:00", "1990-05-01 00:00"]
)
def test_a_date_of_birth_is_shown_as_a_date(desk: Desk, state: State, stored: str) -> None:
    state.set_attributes([UserAttributes("ann", {"born": stored})])
    (shown,) = profile(desk, ProfileRequest(user_id="ann"), "r").attributes
    assert shown.value == "1990-05-01"

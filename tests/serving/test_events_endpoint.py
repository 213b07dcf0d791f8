"""Events that can be trusted: every field kept, each refusal kept as a letter and replayed, a login joined for good."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.consent import OPT_IN
from features.dataset import DatasetConfig
from features.errors import RequestError
from features.event_details import Detail
from features.moments import HOUR, SECOND, to_moment
from serving.api.replies import EventReply, EventsReply
from serving.api.requests import EventsRequest, RecommendRequest
from serving.desk.desk import Desk
from serving.desk.permission import admitting
from serving.events.refused import refused
from serving.events.replaying import Replayed, replay
from serving.person.link import LinkRequest, link
from serving.state.protocol import State, StoredEvent

NOW = to_moment("2026-01-01T00:00:00Z")
VIEW = {"event_id": "e1", "user_id": "ann", "item_id": "i3", "type": "view"}


def post(desk: Desk, *events: Any) -> EventsReply:
    return desk.events(EventsRequest(events=list(events)), "r")


def letters(state: State) -> list[Any]:
    return [one.refused for one in state.dead_letters.after(0, 100)]


def with_hug(desk: Desk) -> DatasetConfig:
    """The data set as a later configuration has it, which knows one more type."""
    content = desk.schema.dataset.model_dump(mode="json", by_alias=True)
    return DatasetConfig.parse({**content, "types": {**content["types"], "hug": {}}})


def test_an_event_is_kept_with_all_that_it_tells(desk: Desk, state: State) -> None:
    told = {"value": 2.5, "dwell": 12.25, "price": 9.99, "quantity": 3, "position": 4, "request_id": "r0"}
    assert post(desk, {**VIEW, **told, "context": {"weather": "rain"}}).stored == 1
    (event,) = state.history("ann", newest=10)
    details: dict[Detail, float] = {"dwell": 12.25, "price": 9.99, "quantity": 3, "position": 4}
    assert event == StoredEvent("e1", "i3", "view", NOW, "ann", None, 2.5, {"weather": "rain"}, "r0", details)


@pytest.mark.parametrize(
    "wrong",
    [{"dwell": -1}, {"price": -0.5}, {"quantity": 0}, {"position": 0}, {"position": 1.5}, {"dwell": "long"}],
)
def test_a_detail_that_cannot_be_is_refused_by_name(desk: Desk, wrong: dict[str, Any]) -> None:
    (result,) = post(desk, {**VIEW, **wrong}).results
    assert (result.status, result.field) == ("rejected", *wrong)


def test_a_late_event_takes_its_place_and_a_future_one_is_refused(desk: Desk, state: State) -> None:
    post(desk, {**VIEW, "time": "2025-12-31T12:00:00Z"}, {**VIEW, "event_id": "e2", "item_id": "i4"})
    reply = post(
        desk,
        {**VIEW, "event_id": "e3", "item_id": "i5", "time": "2025-12-31T18:00:00Z"},
        {**VIEW, "event_id": "e4", "time": "2026-01-01T00:11:00Z"},
    )
    assert [(one.status, one.field) for one in reply.results] == [("stored", None), ("rejected", "time")]
    assert list(state.person("ann").events.item_ids) == ["i3", "i5", "i4"]


def test_a_refused_event_is_kept_once_and_replayed_after_a_change(desk: Desk, state: State) -> None:
    hug = {**VIEW, "event_id": "e2", "type": "hug", "time": "2025-12-31T18:00:00Z", "price": 2.0}
    untimed = {**VIEW, "event_id": "e3", "type": "hug"}
    for _ in range(2):
        assert post(desk, VIEW, hug, untimed).rejected == 2
    assert [one.content["event_id"] for one in letters(state)] == ["e2", "e3"]
    assert {(one.field, one.user_id) for one in letters(state)} == {("type", "ann")}
    assert replay(state, desk.schema.dataset, NOW + HOUR) == Replayed(0, 0, 0, left=2)
    state.append([StoredEvent("e3", "i3", "view", NOW, "ann")])
    assert replay(state, with_hug(desk), NOW + HOUR) == Replayed(1, 1, 0, 0)
    assert replay(state, with_hug(desk), NOW + HOUR) == Replayed(0, 0, 0, 0)
    assert [(one.event_id, one.moment) for one in state.history("ann", newest=9)] == [
        ("e2", NOW - 6 * HOUR), ("e1", NOW), ("e3", NOW),
    ]  # fmt: skip


def test_an_event_without_a_time_keeps_that_of_its_refusal(desk: Desk, state: State) -> None:
    post(desk, {**VIEW, "type": "hug"})
    assert replay(state, with_hug(desk), NOW + HOUR).stored == 1
    assert state.person("ann").events.moments.tolist() == [NOW]


def test_a_future_event_can_be_replayed_once_it_is_past(desk: Desk, state: State) -> None:
    post(desk, {**VIEW, "time": "2026-01-01T02:00:00Z"})
    assert replay(state, desk.schema.dataset, NOW).left == 1
    assert replay(state, desk.schema.dataset, NOW + 2 * HOUR).stored == 1
    assert state.person("ann").events.moments.tolist() == [NOW + 2 * HOUR]


def test_a_replay_stores_nothing_of_who_withdrew_or_was_erased(desk: Desk, state: State) -> None:
    post(desk, {**VIEW, "type": "hug"}, {**VIEW, "event_id": "e2", "user_id": "bob", "type": "hug"})
    assert replay(state, with_hug(desk), NOW, admitting(OPT_IN, NOW)) == Replayed(0, 0, given_up=2, left=0)
    assert letters(state) == []


def test_an_erased_person_has_no_letters_and_gets_none_by_a_retry(desk: Desk, state: State) -> None:
    old = {**VIEW, "type": "hug", "time": "2025-12-31T18:00:00Z"}
    post(desk, old)
    state.erase("ann", moment=NOW - SECOND)
    assert letters(state) == []
    assert post(desk, old).rejected == 1
    assert letters(state) == []


def test_of_an_event_of_nobody_only_its_kind_is_kept(desk: Desk, state: State) -> None:
    two = {**VIEW, "anonymous_id": "cookie-7", "context": {"weather": "rain"}, "friend": "bob"}
    post(desk, two, {**VIEW, "user_id": 4711}, "ann", {**VIEW, "user_id": "x" * 300})
    texts = repr(letters(state))
    assert all(secret not in texts for secret in ("ann", "cookie-7", "bob", "4711", "rain", "xxx"))
    assert {one.user_id for one in letters(state)} == {None}
    assert letters(state)[0].content["item_id"] == "i3"


def test_of_an_unknown_field_only_the_name_is_kept_and_the_event_stays_refused(desk: Desk, state: State) -> None:
    post(desk, {**VIEW, "friend": "bob"})
    assert letters(state)[0].content == {**VIEW, "friend": None}
    assert replay(state, with_hug(desk), NOW).left == 1


def test_of_a_long_event_only_the_person_is_kept(desk: Desk, state: State) -> None:
    post(desk, {**VIEW, "type": "hug", "context": {"weather": "x" * 20_000}})
    assert letters(state)[0].content == {**dict.fromkeys(VIEW), "context": None, "user_id": "ann"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*VIEW, "x", "time"]), inner),
    )
)
def test_any_content_makes_a_letter(content: Any) -> None:
    letter = refused(content, EventReply(status="rejected", message="no; got 5"), NOW)
    assert letter.moment <= NOW
    assert letter.user_id is None or letter.content["user_id"] == letter.user_id


def test_a_login_joins_both_pasts_for_the_very_next_answer(desk: Desk, state: State) -> None:
    visit = {**VIEW, "event_id": "e2", "item_id": "i7"}
    del visit["user_id"]
    post(desk, VIEW, {**visit, "anonymous_id": "cookie"})
    ids = LinkRequest(anonymous_id="cookie", user_id="ann")
    assert link(desk, ids, "r").linked is True
    assert link(desk, ids, "r").linked is False
    desk.recommend(RecommendRequest(user_id="ann"), "r")
    person, _ = desk.pipeline.asked[-1]  # type: ignore[attr-defined]
    assert list(person.events.item_ids) == ["i3", "i7"]
    with pytest.raises(RequestError, match="another user already") as told:
        link(desk, LinkRequest(anonymous_id="cookie", user_id="bob"), "r")
    assert told.value.field == "anonymous_id"

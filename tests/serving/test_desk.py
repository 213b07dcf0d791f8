"""What of a person reaches the pipeline: stored and inline events, both pasts of a login, the moment, the context."""

from typing import Any

import numpy as np
import pytest

from features.errors import RequestError
from features.moments import HOUR, to_moment
from features.person import Events, Person, Taken
from serving.api.requests import EventsRequest, RankRequest, RecommendRequest, SimilarRequest
from serving.desk.desk import Desk
from serving.desk.inline import with_events
from serving.state.protocol import State, StoredEvent, UserAttributes

NOW = to_moment("2026-01-01T00:00:00Z")


def asked(desk: Desk, **request: Any) -> tuple[Person, int]:
    """The person and moment that the pipeline got for a request."""
    desk.recommend(RecommendRequest.model_validate(request), "r")
    return desk.pipeline.asked[-1]  # type: ignore[attr-defined, no-any-return]


def stored(number: int, moment: int = NOW - HOUR, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", moment, "ann")._replace(**given)


def test_the_state_reaches_the_pipeline(desk: Desk, state: State) -> None:
    state.append([stored(1), stored(2, type="shown")])
    state.set_attributes([UserAttributes("ann", {"plan": "pro"})])
    person, moment = asked(desk, user_id="ann", context={"device": "tv", "weather": "rain"})
    assert list(person.events.item_ids) == ["i1"]
    assert person.taken is not None
    assert list(person.taken.item_ids) == ["i1"]
    assert person.attributes == {"plan": "pro"}
    assert person.context == {"device": "tv", "weather": "rain"}
    assert moment == NOW


def test_a_login_reaches_it_with_both_pasts(desk: Desk, state: State) -> None:
    state.append([stored(1), stored(2, user_id=None, anonymous_id="cookie")])
    person, _ = asked(desk, user_id="ann", anonymous_id="cookie")
    assert list(person.events.item_ids) == ["i1", "i2"]


def test_the_moment_is_that_of_the_context(desk: Desk, state: State) -> None:
    state.append([stored(1, moment=NOW + HOUR)])
    asked_for = "2025-06-01T12:00:00+02:00"
    assert asked(desk, user_id="ann", context={"time": asked_for})[1] == to_moment("2025-06-01T10:00:00Z")


def test_without_one_the_newest_event_always_counts(desk: Desk, state: State) -> None:
    state.append([stored(1, moment=NOW + 5_000)])
    assert asked(desk, user_id="ann")[1] == NOW + 5_000
    assert asked(desk, user_id="bob")[1] == NOW


def test_inline_events_count_once_and_are_not_stored(desk: Desk, state: State) -> None:
    state.append([stored(1)])
    inline = [
        {"event_id": "e1", "item_id": "i1", "type": "view"},
        {"item_id": "i9", "type": "buy", "value": 2, "context": {"weather": "snow"}},
        {"item_id": "i8", "type": "shown"},
    ]
    person, _ = asked(desk, user_id="ann", events=inline)
    assert list(person.events.item_ids) == ["i1", "i9"]
    assert list(person.events.types) == ["view", "buy"]
    assert person.events.moments.tolist() == [NOW - HOUR, NOW]
    assert person.events.contexts == [{}, {"weather": "snow"}]
    assert person.taken is not None
    assert list(person.taken.item_ids) == ["i1", "i9"]
    assert len(state.person("ann").events) == 1


def test_inline_events_take_their_place_in_time() -> None:
    past = Events(["a", "c"], ["view"] * 2, np.array([1, 3]), np.array([1, np.nan], dtype=np.float32))
    new = [StoredEvent("", "b", "view", 2), StoredEvent("", "d", "view", 3, value=4.0)]
    person = with_events(Person(past, Taken(["a"], ["view"], np.array([1]))), new)
    assert list(person.events.item_ids) == ["a", "b", "c", "d"]
    assert person.events.values.dtype == np.float32
    assert np.nan_to_num(person.events.values, nan=-1).tolist() == [1, -1, -1, 4]
    assert person.events.contexts is None
    assert person.taken is not None
    assert person.taken.moments.tolist() == [1, 2, 3]
    assert with_events(Person(past), new).taken is None
    assert with_events(person, []) is person


def test_an_event_without_time_happened_now(desk: Desk, state: State) -> None:
    one = {"event_id": "e", "user_id": "ann", "item_id": "i3", "type": "view"}
    assert desk.events(EventsRequest(events=[one]), "r").stored == 1
    assert state.person("ann").events.moments.tolist() == [NOW]


def test_a_clock_may_run_ahead_a_little(desk: Desk) -> None:
    one = {"event_id": "e", "user_id": "ann", "item_id": "i3", "type": "view"}
    batch = [
        {**one, "time": "2026-01-01T00:09:00Z"},
        {**one, "event_id": "f", "time": "2026-01-01T00:11:00Z"},
    ]
    results = desk.events(EventsRequest(events=batch), "r").results
    assert [result.status for result in results] == ["stored", "rejected"]


def test_an_event_from_before_an_erasure_is_rejected_with_its_cause(desk: Desk, state: State) -> None:
    state.erase("ann", moment=NOW - HOUR)
    one = {"user_id": "ann", "item_id": "i3", "type": "view"}
    old = {**one, "event_id": "old", "time": "2025-12-31T22:59:00Z"}
    reply = desk.events(EventsRequest(events=[old, {**one, "event_id": "new"}]), "r")
    assert [(each.status, each.field) for each in reply.results] == [("rejected", "time"), ("stored", None)]
    assert "erased after this event" in (reply.results[0].message or "")
    assert (reply.stored, reply.rejected) == (1, 1)


def test_inline_events_are_checked_by_their_place(desk: Desk) -> None:
    request = RecommendRequest.model_validate(
        {"events": [{"item_id": "i1", "type": "view", "context": {"mood": "blue"}}]}
    )
    with pytest.raises(RequestError, match="there is no such field") as told:
        desk.recommend(request, "r")
    assert told.value.field == "events.0.context.mood"


def test_rank_and_similar_answer(desk: Desk, state: State) -> None:
    state.append([stored(1)])
    ranked = desk.rank(RankRequest(user_id="ann", item_ids=["i2", "i1"]), "r")
    similar = desk.similar(SimilarRequest(item_ids=["i1"], k=1), "r")
    assert [item.item_id for item in ranked.items] == ["i1", "i2"]
    assert [item.item_id for item in similar.items] == ["i0"]

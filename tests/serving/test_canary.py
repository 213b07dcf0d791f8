"""A canary's share of people is answered by its bundle, on every route, and stays with it from page to page."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from features.consent import ConsentRules
from features.errors import StateError
from features.moments import to_moment
from serving.api.replies import ListReply
from serving.api.requests import BatchRequest, EventsRequest, RankRequest, RecommendRequest
from serving.bulk.desk import recommend_batch
from serving.desk.assignment import Split
from serving.desk.beside import ALONE, Beside, CanaryDesk
from serving.desk.desk import Desk
from serving.events import served
from serving.person.explain import ExplainRequest, explain
from serving.pipeline import Pipeline
from serving.state import ItemLog
from serving.state.protocol import State

NOW = to_moment("2026-01-01T00:00:00Z")
HALF = Split(0.5, "00112233445566778899aabbccddeeff")
PEOPLE = [f"user-{number}" for number in range(30)]
CHOSEN = [one for one in PEOPLE if HALF.takes(one, None)]
OTHERS = [one for one in PEOPLE if not HALF.takes(one, None)]


class Two(SimpleNamespace):
    """A live desk, and the canary's, over one store."""

    live: Desk
    canary: Desk

    def with_split(self, split: Split | None) -> Desk:
        beside = ALONE if split is None else Beside(CanaryDesk(lambda: self.canary, split))
        return self.live.beside_others(beside)


@pytest.fixture
def two(
    new_stand_in: Callable[[], Any],
    state: State,
    item_log: ItemLog,
    agreed: ConsentRules,
    monkeypatch: pytest.MonkeyPatch,
) -> Two:
    monkeypatch.setattr(served, "FLUSH_SECONDS", 0.0)
    first, second = new_stand_in(), new_stand_in()
    second.bundle.name = "canary"
    live = Desk(cast("Pipeline", first), state, item_log, clock=lambda: NOW, consent=agreed)
    return Two(live=live, canary=live.over(cast("Pipeline", second)))


@pytest.fixture
def desk(two: Two) -> Desk:
    return two.with_split(HALF)


def ask(desk: Desk, request_id: str = "r", **request: Any) -> ListReply:
    return desk.recommend(RecommendRequest.model_validate({"k": 3, **request}), request_id)


def test_each_person_is_answered_by_the_same_bundle_on_every_route(desk: Desk) -> None:
    for one in PEOPLE:
        expected = "canary" if one in CHOSEN else "standin"
        assert ask(desk, user_id=one).bundle == expected
        assert desk.rank(RankRequest(user_id=one, item_ids=["i1"]), "r").bundle == expected
        assert explain(desk, ExplainRequest(user_id=one, item_id="i1"), "r").bundle == expected
    assert ask(desk).bundle == "standin"
    assert CHOSEN
    assert OTHERS


def test_a_batch_says_of_each_list_which_other_bundle_made_it(desk: Desk) -> None:
    lists = list(recommend_batch(desk, BatchRequest(user_ids=PEOPLE, k=2), "r"))
    assert {one.user_id for one in lists if one.bundle == "canary"} == set(CHOSEN)
    assert {one.user_id for one in lists if one.bundle is None} == set(OTHERS)


def test_what_was_served_names_the_bundle_that_answered(desk: Desk) -> None:
    ask(desk, "r1", user_id=CHOSEN[0])
    ask(desk, "r2", user_id=OTHERS[0])
    assert desk.served is not None
    desk.served.flush()
    rows = {one.row.request_id: one.row.bundle for one in desk.state.served_log.after(0, 10)}
    assert rows == {"r1": "canary", "r2": "standin"}


def test_a_visitor_who_logged_in_is_the_user_whichever_id_comes(desk: Desk) -> None:
    visitor = next(f"visitor-{number}" for number in range(99) if not HALF.takes(None, f"visitor-{number}"))
    view = {"event_id": "e", "anonymous_id": visitor, "item_id": "i1", "type": "view"}
    desk.events(EventsRequest(events=[view]), "r")
    assert ask(desk, anonymous_id=visitor).bundle == "standin"
    assert ask(desk, anonymous_id=visitor, user_id=CHOSEN[0]).bundle == "canary"
    desk.state.link(visitor, CHOSEN[0])
    assert ask(desk, anonymous_id=visitor).bundle == ask(desk, user_id=CHOSEN[0]).bundle == "canary"


def test_without_the_store_a_visitor_is_answered_all_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*asked: Any, **how: Any) -> Any:
        raise StateError("gone")

    for method in ("user_of", "person", "statements"):
        monkeypatch.setattr(desk.state, method, gone)
    reply = ask(desk, anonymous_id="visitor-1")
    assert reply.degraded == ["state"]
    assert reply.bundle == ("canary" if HALF.takes(None, "visitor-1") else "standin")


def test_pages_stay_with_the_bundle_that_began_them(two: Two) -> None:
    """Whatever becomes of the share meanwhile, as long as that bundle answers at all."""
    person = CHOSEN[0]
    ask(two.with_split(HALF), "r1", user_id=person)
    second = ask(two.with_split(HALF._replace(share=0.0)), "r2", user_id=person, after="r1")
    assert (second.bundle, second.former_bundle) == ("canary", None)
    ask(two.live, "l1", user_id=person)
    grown = ask(two.with_split(HALF._replace(share=1.0)), "l2", user_id=person, after="l1")
    assert (grown.bundle, grown.former_bundle) == ("standin", None)


def test_a_page_says_when_the_bundle_that_began_it_answers_no_more(two: Two) -> None:
    person = CHOSEN[0]
    first = ask(two.with_split(HALF), "r1", user_id=person)
    second = ask(two.with_split(None), "r2", user_id=person, after="r1")
    assert (second.bundle, second.former_bundle) == ("standin", "canary")
    assert not {one.item_id for one in first.items} & {one.item_id for one in second.items}


def test_nothing_is_asked_of_the_store_when_there_is_no_canary(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any) -> Any:
        raise AssertionError("nobody needs to know")

    monkeypatch.setattr(two.live.state, "user_of", asked)
    assert ask(two.live, anonymous_id="visitor-1").bundle == "standin"

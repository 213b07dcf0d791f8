"""What a person declares acts on the next answer of every kind, and nothing hidden ever comes through."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from features.errors import RequestError
from features.moments import DAY, to_text
from features.person import Person
from features.preferences import Category
from serving.answers import Answer, Query
from serving.api.replies import ListReply
from serving.api.requests import BatchRequest, EventsRequest, RankRequest, RecommendRequest
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.person.consent import ConsentRequest, consent
from serving.person.explain import ExplainRequest, explain
from serving.person.preferences import PreferencesReply, PreferencesRequest, preferences
from serving.pipeline import Pipeline
from serving.retrieval.preferred import of_any
from serving.state import open_item_log, open_state

MEMORY = "sqlite://:memory:"
WHO = st.sampled_from(["user_id", "anonymous_id"])
DAYS = st.sampled_from([None, 1, 3])


@pytest.fixture
def desk(pipeline: Pipeline, now: int) -> Iterator[Desk]:
    opened = Desk(pipeline, open_state(MEMORY), open_item_log(MEMORY), clock=lambda: now)
    yield opened
    opened.close()


def ids(answer: Answer | ListReply) -> list[str]:
    return [one.item_id for one in answer.items]


def are_of(pipeline: Pipeline, items: list[str], category: Category) -> list[bool]:
    found: list[bool] = of_any(pipeline.bundle, [category], pipeline.bundle.schema.items.rows(items)).tolist()
    return found


def tell(desk: Desk, **request: Any) -> PreferencesReply:
    return preferences(desk, PreferencesRequest.model_validate({"user_id": "ann", **request}), "r")


def agree(desk: Desk, **who: Any) -> None:
    request = {**(who or {"user_id": "ann"}), "answers": {"personalize": "granted"}}
    consent(desk, ConsentRequest.model_validate(request), "r")


def listed(desk: Desk, **request: Any) -> list[str]:
    return ids(desk.recommend(RecommendRequest.model_validate({"user_id": "ann", "k": 30, **request}), "r"))


def drama(category: Category, say: str, **given: Any) -> dict[str, Any]:
    return {**category._asdict(), "say": say, **given}


def test_declaring_acts_on_the_next_request_and_taking_back_too(desk: Desk, category: Category) -> None:
    agree(desk)
    first = listed(desk)
    tell(desk, set=[{"item_id": first[0], "say": "hide"}, drama(category, "hide")])
    second = listed(desk)
    assert first[0] not in second
    assert not any(are_of(desk.pipeline, second, category))
    tell(desk, take_back=[{"item_id": first[0]}, category._asdict()])
    assert listed(desk) == first


def test_what_is_hidden_stays_so_without_consent(desk: Desk, category: Category) -> None:
    first = listed(desk)
    tell(desk, set=[drama(category, "hide")], strength=0.5)
    reply = desk.recommend(RecommendRequest(user_id="ann", k=30), "r")
    assert reply.not_personal == "unknown"
    assert ids(reply) != first
    assert not any(are_of(desk.pipeline, ids(reply), category))


def test_what_is_hidden_is_in_no_batch_and_explained(desk: Desk, category: Category) -> None:
    (before,) = recommend_batch(desk, BatchRequest(user_ids=["ann"]), "r")
    tell(desk, set=[{"item_id": before.items[0].item_id, "say": "dislike"}, drama(category, "hide")])
    (after,) = recommend_batch(desk, BatchRequest(user_ids=["ann"]), "r")
    found = [one.item_id for one in after.items]
    assert before.items[0].item_id not in found
    assert not any(are_of(desk.pipeline, found, category))
    told = explain(desk, ExplainRequest(user_id="ann", item_id=before.items[0].item_id), "r")
    assert told.obstacles[0].stop == "hidden"
    assert "do not want" in told.sentence


def test_what_is_declared_is_told_with_its_history(desk: Desk, category: Category, now: int) -> None:
    until = to_text(now + DAY)
    tell(desk, set=[drama(category, "hide", until=until)], strength=0.5, source="sign-up")
    strange = {"item_id": "not yet there", "say": "hide"}
    reply = tell(desk, set=[drama(category, "pin"), strange, drama(Category("x", "y"), "like")])
    assert reply.strength == 0.5
    assert [(one.say, one.known) for one in reply.preferences] == [("like", False), ("hide", False), ("pin", None)]
    old = next(one for one in reply.history if one.say == "hide" and one.value == category.value)
    assert (old.until, old.source) == (until, "sign-up")
    assert next(one.strength for one in reply.history if one.strength is not None) == 0.5


def test_an_end_is_an_end(pipeline: Pipeline, category: Category, now: int) -> None:
    clock = [now]
    desk = Desk(pipeline, open_state(MEMORY), open_item_log(MEMORY), clock=lambda: clock[0])
    tell(desk, set=[drama(category, "hide", until=to_text(now + DAY))])
    assert not any(are_of(pipeline, listed(desk), category))
    clock[0] = now + DAY
    assert any(are_of(pipeline, listed(desk), category))
    desk.close()


@pytest.mark.parametrize(
    ("request_", "field", "what"),
    [
        ({"set": [{"item_id": "i", "say": "like"}, {"item_id": "i", "say": "hide"}]}, "set.1", "speaks of too"),
        ({"set": [{"item_id": "i", "say": "like"}], "take_back": [{"item_id": "i"}]}, "take_back.0", "speaks of too"),
        ({"set": [{"item_id": "i", "say": "hide", "until": "2001-01-01T00:00:00Z"}]}, "set.0.until", "ended already"),
        ({"reset": {"keep": ["view", "nothing"]}}, "reset.keep.1", "no such event type"),
    ],
)
def test_what_cannot_be_meant_is_refused_whole(desk: Desk, request_: Any, field: str, what: str) -> None:
    with pytest.raises(RequestError, match=what) as raised:
        tell(desk, **request_)
    assert raised.value.field == field
    assert tell(desk).history == []


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        ({"user_id": None}, "give user_id or anonymous_id"),
        ({"anonymous_id": "cookie", "strength": 0.5}, "declared by one"),
        ({"strength": 1.5}, "less than or equal to 1"),
        ({"set": [{"item_id": "i", "say": "pin"}]}, "only a category can be pinned"),
        ({"set": [{"say": "hide"}]}, "give item_id, or attribute and value"),
        ({"set": [{"attribute": "genre", "say": "hide"}]}, "give item_id, or attribute and value"),
    ],
)
def test_what_is_malformed_is_refused(desk: Desk, request_: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        tell(desk, **request_)


def test_a_reset_forgets_what_was_learned_and_keeps_the_rest(desk: Desk, category: Category, now: int) -> None:
    agree(desk)
    items = desk.schema.items.ids[:3]
    kinds = zip(items, ("view", "purchase", "play"), strict=True)
    events = [
        {"event_id": item, "user_id": "ann", "item_id": item, "type": kind, "time": to_text(now - DAY)}
        for item, kind in kinds
    ]
    desk.events(EventsRequest(events=events), "r")
    tell(desk, set=[drama(category, "hide")])
    kept = [name for name, kind in desk.schema.dataset.types.items() if kind.repeat != "always"]
    assert "purchase" in kept
    reply = tell(desk, reset={})
    assert reply.forgotten == len([kind for kind in ("view", "purchase", "play") if kind not in kept])
    assert reply.forgotten > 0
    assert [one.say for one in reply.preferences] == ["hide"]
    assert items[1] in desk.state.person("ann").events.item_ids
    assert {*desk.state.person("ann").events.types} <= {*kept}
    assert tell(desk, reset={"keep": [], "preferences": True}).preferences == []
    assert len(desk.state.person("ann").events) == 0


def test_no_sequence_of_requests_shows_what_is_hidden(  # noqa: C901
    pipeline: Pipeline, category: Category, now: int
) -> None:
    items = ids(pipeline.recommend(Person(), Query(k=4), now))
    targets = [*items, category]

    class Hiding(RuleBasedStateMachine):
        """A user and a visitor who hide, unhide, do things, grow older and turn out to be one."""

        def __init__(self) -> None:
            super().__init__()
            self.now, self.linked = now, False
            self.desk = Desk(pipeline, open_state(MEMORY), open_item_log(MEMORY), clock=lambda: self.now)
            agree(self.desk)
            self.hidden: dict[str, dict[Any, float]] = {"user_id": {}, "anonymous_id": {}}

        def mine(self, who: str) -> dict[Any, float]:
            return self.hidden["user_id" if self.linked else who]

        def say(self, who: str, **said: Any) -> None:
            request = {who: {"user_id": "ann", "anonymous_id": "cookie"}[who], **said}
            preferences(self.desk, PreferencesRequest.model_validate(request), "r")

        @rule(
            who=WHO,
            what=st.sampled_from(targets),
            days=DAYS,
        )
        def hide(self, who: str, what: Any, days: int | None) -> None:
            until = {} if days is None else {"until": to_text(self.now + days * DAY)}
            self.say(who, set=[{**_named(what), "say": "hide", **until}])
            self.mine(who)[what] = np.inf if days is None else self.now + days * DAY

        @rule(who=WHO, what=st.sampled_from(targets))
        def unhide(self, who: str, what: Any) -> None:
            self.say(who, take_back=[_named(what)])
            self.mine(who).pop(what, None)

        @rule(who=WHO, strength=st.sampled_from([0.0, 0.5, 1.0]))
        def soften(self, who: str, strength: float) -> None:
            self.say(who, strength=strength)

        @rule(who=WHO)
        def pin(self, who: str) -> None:
            self.say(who, set=[{**category._asdict(), "say": "pin"}])
            self.mine(who).pop(category, None)

        @rule(days=st.integers(1, 3))
        def wait(self, days: int) -> None:
            self.now += days * DAY

        @rule()
        def link(self) -> None:
            if not self.linked:
                self.desk.state.link("cookie", "ann")
                for target, until in self.hidden["anonymous_id"].items():
                    mine = self.hidden["user_id"]
                    mine[target] = max(mine.get(target, 0), until)
                self.linked = True

        @rule()
        def reset(self) -> None:
            self.say("user_id", reset={})

        @invariant()
        def nothing_hidden_is_shown(self) -> None:
            inline = [{"item_id": items[0], "type": "view"}]
            for who in ({"user_id": "ann"}, {"anonymous_id": "cookie"}, {"user_id": "ann", "anonymous_id": "cookie"}):
                hidden = {one for name in who for one, until in self.mine(name).items() if until > self.now}
                asked = {**who, "events": inline, "context": {"time": to_text(now)}}
                lists = [
                    self.desk.recommend(RecommendRequest.model_validate(asked), "r"),
                    self.desk.rank(RankRequest.model_validate({**asked, "item_ids": items}), "r"),
                ]
                if who == {"user_id": "ann"}:
                    lists += [*recommend_batch(self.desk, BatchRequest(user_ids=["ann"], k=5), "r")]  # type: ignore[list-item]
                for one in lists:
                    assert not {*ids(one)} & hidden
                    assert category not in hidden or not any(are_of(pipeline, ids(one), category))

        def teardown(self) -> None:
            self.desk.close()

    run_state_machine_as_test(Hiding, settings=settings(max_examples=12, stateful_step_count=8, deadline=None))


def _named(target: Any) -> dict[str, str]:
    return target._asdict() if isinstance(target, Category) else {"item_id": target}

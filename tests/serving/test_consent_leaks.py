"""No sequence of requests leaks an input without consent: the desk against a slow and obvious model of who agreed."""

from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from features.errors import RequestError
from features.person import Change, Person
from serving.api.requests import BatchRequest, EventsRequest, RankRequest, RecommendRequest
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.person.consent import ConsentRequest, consent
from serving.state import open_item_log, open_state
from serving.state.protocol import UserAttributes

USERS, VISITORS = ("ann", "bob"), ("v", "w")
STORING = ("personalize", "train", "measure")
PURPOSES = (*STORING, "marketing", "share_demographics")
START = 1_767_225_600_000
WHO = st.sampled_from([*USERS, *VISITORS])
PAIRS = st.tuples(st.sampled_from([None, *USERS]), st.sampled_from([None, *VISITORS]))


class ConsentMachine(RuleBasedStateMachine):
    """The model: the last answer of each id by purpose, the stricter one when two ids become one."""

    stand_in: Any

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.stand_in.asked.clear()
        self.desk = Desk(self.stand_in, open_state("sqlite://:memory:"), open_item_log("sqlite://:memory:"),
                         clock=self._tick)  # fmt: skip
        self.desk.demographics = frozenset({"gender", "age"})
        self.answers: dict[str, dict[str, str]] = {one: {} for one in (*USERS, *VISITORS)}
        self.linked: dict[str, str] = {}
        self.done = dict.fromkeys((*USERS, *VISITORS), 0)
        self.events = 0
        for user in USERS:
            self.desk.state.set_attributes([UserAttributes(user, {"gender": "f", "plan": "pro"})])
            self.desk.state.set_attributes([UserAttributes(user, {"age": 30}, 5)])

    def _tick(self) -> int:
        self.now += 1
        return self.now

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.close()

    @rule(who=WHO, purpose=st.sampled_from(PURPOSES), answer=st.sampled_from(["granted", "denied"]))
    def say(self, who: str, purpose: str, answer: str) -> None:
        consent(self.desk, ConsentRequest.model_validate({**ids(who), "answers": {purpose: answer}}), "r")
        self.answers[self._whole(who)][purpose] = answer

    @rule(who=WHO)
    def act(self, who: str) -> None:
        self.events += 1
        event = {"event_id": f"e{self.events}", "item_id": "i1", "type": "view", **ids(who)}
        status = self.desk.events(EventsRequest(events=[event]), "r").results[0].status
        person = self._whole(who)
        stores = any(self.answers[person].get(purpose) == "granted" for purpose in STORING)
        assert status == ("stored" if stores else "not_stored")
        self.done[person] += stores

    @rule(visitor=st.sampled_from(VISITORS), user=st.sampled_from(USERS))
    def log_in(self, visitor: str, user: str) -> None:
        if self.linked.get(visitor, user) != user:
            with pytest.raises(RequestError):
                self.desk.state.link(visitor, user)
            return
        self.desk.state.link(visitor, user)
        if visitor not in self.linked:
            self.answers[user] = strictest(self.answers[user], self.answers[visitor])
            self.done[user] += self.done[visitor]
            self.linked[visitor] = user

    @rule(pair=PAIRS, inline=st.booleans())
    def ask(self, pair: tuple[str | None, str | None], inline: bool) -> None:
        events = [{"item_id": "i7", "type": "view"}] if inline else []
        asked = {"user_id": pair[0], "anonymous_id": pair[1], "events": events}
        reply = self.desk.recommend(RecommendRequest.model_validate(asked), "r")
        self._holds(pair, self.stand_in.asked[-1][0], reply.not_personal, inline)
        ranked = self.desk.rank(RankRequest.model_validate({**asked, "item_ids": ["i1", "i2"]}), "r")
        self._holds(pair, self.stand_in.asked[-1][0], ranked.not_personal, inline)

    @rule()
    def ask_for_all(self) -> None:
        before = len(self.stand_in.asked)
        lists = list(recommend_batch(self.desk, BatchRequest(user_ids=list(USERS)), "r"))
        for user, one, (person, _) in zip(USERS, lists, self.stand_in.asked[before:], strict=True):
            self._holds((user, None), person, one.not_personal, False)

    def _whole(self, who: str) -> str:
        return self.linked.get(who, who)

    def _holds(self, pair: tuple[str | None, str | None], person: Person, why: str | None, inline: bool) -> None:
        """What reached the pipeline is what the model allows, neither more nor less."""
        whole = [self._whole(one) for one in pair if one is not None]
        if len(whole) == 2 and whole[1] in USERS:
            whole = whole[:1]  # the visitor is a user by now: this one, or another who says nothing here
        answers: dict[str, str] = {}
        for one in whole:
            answers = strictest(answers, self.answers[one])
        if answers.get("personalize") != "granted":
            assert why == answers.get("personalize", "unknown")
            assert len(person.events) == 0
            assert person.taken is None
            assert (person.attributes, person.changes) == ({}, {})
            return
        assert why is None
        assert len(person.events) == sum(self.done[one] for one in whole) + inline
        shared = answers.get("share_demographics") == "granted"
        of_user = whole[0] in USERS
        assert person.attributes == ({"plan": "pro", **({"gender": "f"} if shared else {})} if of_user else {})
        assert person.changes == ({"age": [Change(5, 30)]} if shared and of_user else {})


def ids(who: str) -> dict[str, str]:
    return {"user_id": who} if who in USERS else {"anonymous_id": who}


def strictest(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """By purpose the stricter of two answers; who is silent takes the other's."""
    return {
        purpose: "denied" if "denied" in said else "granted"
        for purpose in PURPOSES
        if (said := {one[purpose] for one in (first, second) if purpose in one})
    }


def test_no_sequence_of_requests_leaks(new_stand_in: Any) -> None:
    ConsentMachine.stand_in = new_stand_in()
    run_state_machine_as_test(
        cast("Any", ConsentMachine), settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )

"""Attributes that a company posts of its users: what is stored, what is refused by name, what the next answer sees."""

from typing import Any

import httpx
import pytest

from features.consent import ConsentRules
from features.statements import Statement
from serving.api.requests import RecommendRequest
from serving.desk.desk import Desk
from serving.person.profile import CorrectRequest, correct
from serving.person.users import UsersReply, UsersRequest, change_users, changed_users
from serving.state.protocol import State

NOW = 1_767_225_600_000


def post(desk: Desk, *users: Any) -> UsersReply:
    return change_users(desk, UsersRequest(users=list(users)), "r")


def test_the_very_next_answer_knows_them(desk: Desk, state: State) -> None:
    reply = post(
        desk,
        {"user_id": "ann", "attributes": {"city": "Łódź", "plan": "pro", "born": "1990-05-01"}},
        {"user_id": "bob", "attributes": {"city": 7}},
    )
    assert (reply.stored, reply.rejected, [one.status for one in reply.results]) == (2, 0, ["stored", "stored"])
    desk.recommend(RecommendRequest(user_id="ann"), "r")
    person, _ = desk.pipeline.asked[-1]  # type: ignore[attr-defined]
    assert person.attributes == {"city": "Łódź", "born": "1990-05-01"}
    assert [(one.moment, one.value) for one in person.changes["plan"]] == [(NOW, "pro")]
    assert state.person("bob").attributes == {"city": 7}


def test_null_removes_and_what_is_left_out_stays(desk: Desk, state: State) -> None:
    post(desk, {"user_id": "ann", "attributes": {"city": "Bern", "plan": "pro"}})
    post(desk, {"user_id": "ann", "attributes": {"plan": None}})
    assert (state.person("ann").attributes, state.person("ann").changes) == ({"city": "Bern"}, {})
    post(desk, {"user_id": "ann", "attributes": {"city": None, "plan": "free"}})
    assert state.person("ann").attributes == {}
    assert state.person("ann").attribute("plan", NOW) == "free"


def test_of_several_records_of_one_user_the_last_counts_column_by_column(desk: Desk, state: State) -> None:
    records = [{"city": "Bern", "plan": "a"}, {"city": None}, {"plan": None}, {"plan": "b"}, {"born": "1990-05-01"}]
    post(desk, *({"user_id": "ann", "attributes": one} for one in records))
    assert state.person("ann").attributes == {"born": "1990-05-01"}
    assert state.person("ann").attribute("plan", NOW) == "b"


@pytest.mark.parametrize(
    ("record", "field", "told"),
    [
        (
            {"user_id": "x", "attributes": {"colour": "red"}},
            "attributes.colour",
            "no such column. The columns are: city",
        ),
        ({"user_id": "x", "attributes": {"city": ["a"]}}, "attributes.city", "a text or a finite number"),
        ({"user_id": "x", "attributes": {"born": "soon"}}, "attributes.born", "a date or time"),
        ({"user_id": "x", "attributes": {}}, "attributes", "at least 1"),
        ({"user_id": "x"}, "attributes", "required"),
        ({"user_id": 7, "attributes": {"city": "a"}}, "user_id", "Ids are strings"),
        ({"user_id": "x", "attributes": {"city": "a"}, "delete": True}, "delete", "there is no such field"),
        ("ann", None, "must be a JSON object"),
    ],
)
def test_a_bad_record_is_refused_by_name_and_holds_up_no_other(
    desk: Desk, state: State, record: Any, field: str | None, told: str
) -> None:
    reply = post(desk, record, {"user_id": "good", "attributes": {"city": "Rome"}})
    assert (reply.stored, reply.rejected, reply.results[0].field) == (1, 1, field)
    assert told in (reply.results[0].message or "")
    assert state.person("good").attributes == {"city": "Rome"}
    assert state.person("x").attributes == {}


def test_who_was_erased_is_a_new_person(desk: Desk, state: State) -> None:
    state.erase("ann", moment=NOW - 1)
    post(desk, {"user_id": "ann", "attributes": {"city": "Rome", "plan": "new"}})
    assert state.person("ann").attribute("city", NOW) == "Rome"
    assert state.person("ann").attribute("plan", NOW) == "new"


def test_whom_a_request_is_about() -> None:
    request = UsersRequest(users=[{"user_id": "a"}, {"user_id": "b"}, {"user_id": "a"}, {"user_id": 7}, "c"])
    assert changed_users(request) == [("a", None), ("b", None)]


def test_an_id_of_another_form_is_about_nobody() -> None:
    assert changed_users(UsersRequest(users=[{"user_id": {}}, {"user_id": []}, "a", {"user_id": "b"}])) == [("b", None)]


def test_over_http(client: httpx.Client) -> None:
    posted = client.post("/v1/users", json={"users": [{"user_id": "u", "attributes": {"city": "Bern"}}, {}]}).json()
    assert (posted["stored"], posted["rejected"]) == (1, 1)
    assert client.post("/v1/users", json={"users": []}).status_code == 400


def said(purpose: str, answer: str) -> Statement:
    return Statement("consent", purpose, answer, NOW - 1, "person")


def test_what_a_user_does_not_allow_is_not_stored_and_said(desk: Desk, state: State) -> None:
    """Lists or training must be allowed, and for what is demographic that it is shared; measuring needs none."""
    desk.consent = ConsentRules.parse({"measure": {"unknown": "granted", "basis": "a test"}})
    state.declare("shares", None, [said("train", "granted"), said("share_demographics", "granted")])
    state.declare("hides", None, [said("personalize", "granted")])
    state.declare("left", None, [said("personalize", "denied"), said("share_demographics", "granted")])
    given = {"city": "Bern", "plan": "pro", "born": "1990-05-01"}
    users = ("shares", "hides", "left", "silent")
    reply = post(desk, *({"user_id": one, "attributes": given} for one in users))
    assert [one.status for one in reply.results] == ["stored", "stored", "not_stored", "not_stored"]
    assert [one.not_stored for one in reply.results] == [None, ["born"], sorted(given), sorted(given)]
    assert (reply.stored, reply.not_stored, reply.rejected) == (2, 2, 0)
    assert state.person("shares").attributes == {"city": "Bern", "born": "1990-05-01"}
    assert state.person("hides").attributes == {"city": "Bern"}
    for user in ("left", "silent"):
        assert (state.person(user).attributes, state.person(user).changes) == ({}, {})
    assert list(state.user_ids()) == ["hides", "left", "shares"], "nobody is made known by what is not stored"


def test_what_was_stored_can_be_removed_after_a_withdrawal(desk: Desk, state: State) -> None:
    post(desk, {"user_id": "ann", "attributes": {"city": "Bern", "born": "1990-05-01"}})
    state.declare("ann", None, [said("personalize", "denied"), said("train", "denied")])
    reply = post(desk, {"user_id": "ann", "attributes": {"city": None, "plan": "pro"}})
    assert [(one.status, one.not_stored) for one in reply.results] == [("stored", ["plan"])]
    assert state.person("ann").attributes == {"born": "1990-05-01"}
    asked = CorrectRequest(user_id="ann", attributes={"born": None, "city": "Rome"})
    told = correct(desk, asked, "r")
    assert (told.attributes, told.not_stored) == (["born"], ["city"])
    assert state.person("ann").attributes == {}

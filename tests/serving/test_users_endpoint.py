"""Attributes that a company posts of its users: what is stored, what is refused by name, what the next answer sees."""

from typing import Any

import httpx
import pytest

from serving.api.requests import RecommendRequest
from serving.desk.desk import Desk
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

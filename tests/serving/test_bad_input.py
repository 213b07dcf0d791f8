"""Bad input through real sockets: the field and what is wrong with it are told, whatever is sent."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.api.endpoints import ENDPOINTS
from tests.serving.error_form import error_of

PATHS = [one.path for one in ENDPOINTS]


def picks(client: httpx.Client, **asked: Any) -> list[str]:
    response = client.post("/v1/recommend", json=asked)
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


BAD = {
    "an unknown field": ("/v1/recommend", {"user": "ann"}, "user", "there is no such field"),
    "a page of nothing": ("/v1/recommend", {"after": "r1"}, "after", "no list of this person has this request_id"),
    "k of 0": ("/v1/recommend", {"k": 0}, "k", "should be greater than or equal to 1; got 0"),
    "k of 501": ("/v1/recommend", {"k": 501}, "k", "should be less than or equal to 500; got 501"),
    "k as text": ("/v1/recommend", {"k": "20"}, "k", "should be a valid integer; got '20'"),
    "k as truth": ("/v1/recommend", {"k": True}, "k", "should be a valid integer; got True"),
    "a huge k": ("/v1/recommend", {"k": 10**30}, "k", "should be a valid integer; got 1e+30"),
    "a number as id": ("/v1/recommend", {"user_id": 42}, "user_id", "must be a string; got 42"),
    "a number as item": ("/v1/rank", {"item_ids": ["i1", 2]}, "item_ids.1", "must be a string; got 2"),
    "an excluded number": ("/v1/recommend", {"exclude": [7]}, "exclude.0", "must be a string; got 7"),
    "an empty id": ("/v1/recommend", {"user_id": ""}, "user_id", "string should have at least 1 character"),
    "a long id": ("/v1/recommend", {"user_id": "x" * 257}, "user_id", "string should have at most 256"),
    "another placement": ("/v1/recommend", {"placement": "home"}, "placement", "should be 'default'; got 'home'"),
    "no items": ("/v1/rank", {}, "item_ids", "this field is required"),
    "an empty list": ("/v1/rank", {"item_ids": []}, "item_ids", "list should have at least 1 item"),
    "10,000 items": (
        "/v1/rank",
        {"item_ids": [f"i{number}" for number in range(10_000)]},
        "item_ids",
        "list should have at most 1000 items after validation, not 10000",
    ),
    "another kind": ("/v1/similar", {"item_ids": ["i1"], "kind": "odd"}, "kind", "got 'odd'"),
    "a time without zone": (
        "/v1/recommend",
        {"context": {"time": "2026-01-01T00:00:00"}},
        "context.time",
        "must be a time with a zone as RFC 3339 text",
    ),
    "a time as number": ("/v1/recommend", {"context": {"time": 1}}, "context.time", "as RFC 3339 text"),
    "a day that is none": (
        "/v1/recommend",
        {"context": {"time": "2026-02-30T00:00:00Z"}},
        "context.time",
        "day",
    ),
    "an unknown context": ("/v1/recommend", {"context": {"mood": 1}}, "context.mood", "there is no such field"),
    "a deep context": ("/v1/recommend", {"context": {"weather": {"a": 1}}}, "context.weather", ""),
    "an inline event of no type": (
        "/v1/recommend",
        {"events": [{"item_id": "i1", "type": "dance"}]},
        "events.0.type",
        "there is no such event type",
    ),
    "no object": ("/v1/recommend", [1, 2], None, "must be a JSON object, in braces; got 2 values"),
    "no events": ("/v1/events", {"events": []}, "events", "list should have at least 1 item"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(client: httpx.Client, case: str) -> None:
    path, asked, field, message = BAD[case]
    error = error_of(client.post(path, json=asked), 400)
    assert error["code"] == "invalid_request"
    assert error.get("field", "").startswith(field or "")
    assert message in error["message"]


def test_an_unknown_field_is_told_which_there_are(client: httpx.Client) -> None:
    hint = error_of(client.post("/v1/similar", json={"item": "i1"}), 400)["hint"]
    assert hint == "The fields are: item_ids, kind, k, exclude, filter."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON at line 1, column 1"),
        (b"{", "the body is not JSON"),
        (b'{"k": NaN}', "the body is not JSON"),
        (b'{"k": 1} x', "the body is not JSON"),
        (b'{"user_id": "\xff"}', "the body is not UTF-8 at byte 13"),
        (b'{"user_id": "\\ud800"}', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
    ],
)
def test_a_body_that_is_no_json_is_told(client: httpx.Client, body: bytes, message: str) -> None:
    assert message in error_of(client.post("/v1/recommend", content=body), 400)["message"]


def test_a_body_of_10_mb_is_refused(client: httpx.Client) -> None:
    body = b'{"user_id": "' + b"x" * 10_000_000 + b'"}'
    assert error_of(client.post("/v1/recommend", content=body), 413)["code"] == "too_large"
    parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    assert error_of(client.post("/v1/recommend", content=parts), 413)["code"] == "too_large"
    assert picks(client, k=1) == ["i0"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ("user_id", "anonymous_id", "k", "exclude", "context", "events", "explain", "item_ids", "kind", "newest")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), asked=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_no_json_whatever_breaks_the_service(client: httpx.Client, path: str, asked: dict[str, Any]) -> None:
    response = client.post(path, content=json.dumps(asked).encode())
    if response.status_code != 200:
        error_of(response, 400)

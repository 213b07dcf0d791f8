"""The service through real sockets: routes, the one form of errors, bad input, overload, and being not ready."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import prometheus_client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import BundleError, StateError, TailorbirdError
from serving.api.endpoints import ENDPOINTS
from serving.api.openapi import ROUTES, openapi
from serving.desk.desk import Desk
from serving.http import reception

PATHS = [one.path for one in ENDPOINTS]


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, which must be the one form, with nothing of Python in it."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert {"code", "message", "request_id"} <= set(error) <= {"code", "message", "field", "hint", "request_id"}
    assert "Traceback" not in response.text
    assert response.headers["x-tailorbird-worker"]
    return error


def picks(client: httpx.Client, **asked: Any) -> list[str]:
    response = client.post("/v1/recommend", json=asked)
    assert response.status_code == 200, response.text
    return [item["item_id"] for item in response.json()["items"]]


def event(number: int, **given: Any) -> dict[str, Any]:
    return {"event_id": f"e{number}", "user_id": "ann", "item_id": f"i{number}", "type": "view", **given}


def test_every_answer_is_stamped(client: httpx.Client) -> None:
    response = client.post("/v1/recommend", json={"user_id": "new", "k": 2})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "private, no-store"
    body = response.json()
    assert body.pop("request_id") != client.post("/v1/recommend", json={}).json()["request_id"]
    assert body == {
        "bundle": "standin",
        "items": [
            {
                "item_id": f"i{number}",
                "title": f"Title i{number}",
                "score": score,
                "probabilities": {"view": 0.5},
                "source": "transitions",
            }
            for number, score in ((0, 1.0), (1, 0.5))
        ],
    }


def test_the_next_answer_reflects_an_event(client: httpx.Client) -> None:
    for number in (4, 11, 7):
        posted = client.post("/v1/events", json={"events": [event(number, user_id="eva")]}).json()
        assert posted["stored"] == 1
        assert picks(client, user_id="eva", k=1) == [f"i{number + 1}"]


@pytest.mark.parametrize("who", [{}, {"user_id": "never seen"}, {"anonymous_id": "a"}, {"user_id": "żółć 🦜"}])
def test_whoever_asks_gets_a_list(client: httpx.Client, who: dict[str, str]) -> None:
    assert len(picks(client, **who)) == 20


def test_explaining_adds_reasons_and_times(client: httpx.Client) -> None:
    client.post("/v1/events", json={"events": [event(3, event_id="x1", user_id="ola")]})
    body = client.post("/v1/recommend", json={"user_id": "ola", "k": 1, "explain": True}).json()
    (reason,) = body["items"][0]["reasons"]
    assert reason.pop("sentence") == "Often chosen after “Title i3”, which is in your history."
    past = {"item_id": "i3", "title": "Title i3", "times": 1}
    assert reason == {"code": "transitions", "weight": 0.5, "places": 2, **past}
    assert body["timings"] == {"rank": 0.1}


def test_a_short_list_says_why(client: httpx.Client) -> None:
    body = client.post("/v1/recommend", json={"k": 40, "exclude": ["i0", "i1"]}).json()
    assert body["shortfall"] == {"wanted": 40, "given": 28, "cause": "no more items"}


def test_rank_and_similar(client: httpx.Client) -> None:
    ranked = client.post("/v1/rank", json={"user_id": "ann", "item_ids": ["i2", "nothing", "i1"]}).json()
    assert [item["item_id"] for item in ranked["items"]] == ["i1", "i2"]
    assert ranked["unknown"] == ["nothing"]
    asked = {"item_ids": ["i0"], "k": 2, "kind": "next", "exclude": ["i1"]}
    similar = client.post("/v1/similar", json=asked).json()
    assert [item["item_id"] for item in similar["items"]] == ["i2", "i3"]


def test_a_bad_event_does_not_hold_up_the_others(client: httpx.Client) -> None:
    batch = [
        event(1, user_id="jan"),
        event(1, user_id="jan"),
        event(2, user_id="jan", type="dance"),
        event(3, user_id="jan", time="2999-01-01T00:00:00Z"),
        event(4, user_id=4),
        event(5, anonymous_id="too"),
        event(6, value="much"),
        event(7, context={"mood": "blue"}),
        "no event",
        event(8, user_id="jan", context={"weather": "rain", "device": "tv"}, value=3, request_id="r"),
    ]
    body = client.post("/v1/events", json={"events": batch}).json()
    assert (body["stored"], body["duplicate"], body["rejected"]) == (2, 1, 7)
    found = [(one["status"], one.get("field")) for one in body["results"]]
    assert found == [
        ("stored", None),
        ("duplicate", None),
        ("rejected", "type"),
        ("rejected", "time"),
        ("rejected", "user_id"),
        ("rejected", None),
        ("rejected", "value"),
        ("rejected", "context.mood"),
        ("rejected", None),
        ("stored", None),
    ]
    assert "The types are: view, buy, shown." in body["results"][2]["message"]
    assert body["results"][4]["message"].startswith("must be a string; got 4. Ids are strings")
    assert body["results"][5]["message"] == "give exactly one of user_id and anonymous_id"
    assert body["results"][8]["message"] == "must be a JSON object, in braces; got 'no event'"


def test_profile_shows_the_past_with_titles(client: httpx.Client) -> None:
    batch = [
        event(21, user_id="liv", time="2026-01-01T10:00:00+02:00", value=5),
        event(22, user_id="liv", time="2026-01-02T10:00:00.250Z"),
    ]
    client.post("/v1/events", json={"events": batch})
    body = client.post("/v1/profile", json={"user_id": "liv"}).json()
    assert body["events"] == [
        {
            "event_id": "e22",
            "item_id": "i22",
            "title": "Title i22",
            "type": "view",
            "time": "2026-01-02T10:00:00.250Z",
        },
        {
            "event_id": "e21",
            "item_id": "i21",
            "title": "Title i21",
            "type": "view",
            "time": "2026-01-01T08:00:00.000Z",
            "value": 5.0,
        },
    ]
    assert body["items_taken"] == 2
    assert client.post("/v1/profile", json={"user_id": "nobody"}).json()["events"] == []


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


def test_other_routes_and_methods(client: httpx.Client) -> None:
    assert error_of(client.post("/v1/nothing", json={}), 404)["code"] == "not_found"
    assert error_of(client.get("/v1/recommend"), 405)["hint"] == "Use POST."
    assert error_of(client.post("/", json={}), 405)["hint"] == "Use GET."
    live = client.get("/livez")
    assert live.text == "native"
    assert live.headers["x-tailorbird-worker"] == client.get("/readyz").headers["x-tailorbird-worker"]
    assert client.get("/readyz").json() == {"ready": True, "bundle": "standin", "item_changes": 0}
    assert client.get("/").headers["content-type"].startswith("text/html")
    head = client.head("/")
    assert (head.status_code, head.content) == (200, b"")


def test_openapi_documents_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document == json.loads(json.dumps(openapi()))
    assert tuple(document["paths"]) == ROUTES
    schemas = document["components"]["schemas"]
    assert schemas["RecommendRequest"]["additionalProperties"] is False
    assert schemas["RecommendRequest"]["properties"]["k"]["maximum"] == 500
    assert document["paths"]["/v1/rank"]["post"]["summary"] == "The given items in this person's order."
    reply = schemas["ListReply"]["properties"]
    assert reply["request_id"]["description"].startswith("Names this answer")
    assert reply["shortfall"]["$ref"] == "#/components/schemas/ShortfallReply", "left out, never null"
    references = json.dumps(document).split('"#/components/schemas/')[1:]
    assert {one.partition('"')[0] for one in references} <= set(schemas)


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


class Clerk:
    """A desk that only answers whether its store is there, as a test tells it to."""

    bundle = "clerk"

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self.check = check

    def close(self) -> None:
        pass


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 seconds in vain"
        time.sleep(0.01)


def test_while_loading_it_lives_and_is_not_ready(run_door: Callable[..., str]) -> None:
    gate = threading.Event()

    def open_slowly() -> Clerk:
        gate.wait(20)
        return Clerk()

    url = run_door(open_slowly)
    assert httpx.get(f"{url}/livez").status_code == 200
    assert error_of(httpx.get(f"{url}/readyz"), 503)["code"] == "not_ready"
    assert error_of(httpx.post(f"{url}/v1/recommend", json={}), 503)["message"] == "the bundle is being loaded"
    gate.set()
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)


def test_a_bundle_that_is_refused_is_said_by_readyz(run_door: Callable[..., str]) -> None:
    def refuse() -> Clerk:
        raise BundleError("ranker.onnx differs from what was trained", hint="Promote another.")

    url = run_door(refuse)
    wait_until(lambda: httpx.get(f"{url}/readyz").json()["error"]["code"] == "invalid_bundle")
    error = error_of(httpx.get(f"{url}/readyz"), 503)
    assert (error["message"], error["hint"]) == ("ranker.onnx differs from what was trained", "Promote another.")
    assert httpx.get(f"{url}/livez").status_code == 200


def test_an_opening_that_breaks_is_said_without_its_cause(run_door: Callable[..., str]) -> None:
    def break_down() -> Clerk:
        raise ValueError("secret")

    url = run_door(break_down)
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 500)
    response = httpx.get(f"{url}/readyz")
    assert error_of(response, 500)["message"] == "the bundle or the store could not be opened"
    assert "secret" not in response.text


def test_a_store_that_does_not_answer_is_said_by_readyz(run_door: Callable[..., str]) -> None:
    def fail() -> None:
        raise StateError("the store did not answer: disk I/O error")

    url = run_door(lambda: Clerk(fail))
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    assert httpx.get(f"{url}/readyz").json() == {
        "ready": True,
        "bundle": "clerk",
        "item_changes": 0,
        "degraded": ["state"],
    }


@pytest.mark.parametrize(
    "refusal", [StateError("the store did not answer: no such file"), BundleError("ranker.onnx differs")]
)
def test_what_does_not_open_at_once_is_tried_again(
    run_door: Callable[..., str], monkeypatch: pytest.MonkeyPatch, refusal: TailorbirdError
) -> None:
    monkeypatch.setattr(reception, "REOPEN_SECONDS", 0.01)
    tries = iter([refusal, refusal, None])

    def open_in_the_end() -> Clerk:
        if error := next(tries):
            raise error
        return Clerk()

    url = run_door(open_in_the_end)
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    assert next(tries, "all used") == "all used"


def test_a_fault_of_ours_shows_no_trace_and_logs_no_value(
    run_door: Callable[..., str], desk: Desk, stand_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("Ann sent this".upper())

    stand_in.recommend = fail
    url = run_door(lambda: desk)
    wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    response = httpx.post(f"{url}/v1/recommend", json={})
    error = error_of(response, 500)
    assert error["code"] == "internal"
    assert "ANN SENT" not in response.text + caplog.text
    assert f"{error['request_id']}: ValueError" in caplog.text


def test_metrics_count_routes_and_never_ids(client: httpx.Client) -> None:
    client.post("/v1/recommend", json={"user_id": "counted"})
    client.get("/v1/users/somebody")
    text = prometheus_client.generate_latest().decode()
    assert 'tailorbird_request_seconds_count{route="/v1/recommend",status="200"}' in text
    assert 'tailorbird_request_seconds_count{route="other",status="404"}' in text
    assert "counted" not in text
    assert "somebody" not in text

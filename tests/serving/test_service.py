"""The service through real sockets: what each route answers, and what is documented and counted of it."""

import json
from typing import Any

import httpx
import prometheus_client
import pytest

from serving.api.openapi import ROUTES, openapi
from tests.serving.error_form import error_of


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


def test_metrics_count_routes_and_never_ids(client: httpx.Client) -> None:
    client.post("/v1/recommend", json={"user_id": "counted"})
    client.get("/v1/users/somebody")
    text = prometheus_client.generate_latest().decode()
    assert 'tailorbird_request_seconds_count{route="/v1/recommend",status="200"}' in text
    assert 'tailorbird_request_seconds_count{route="other",status="404"}' in text
    assert "counted" not in text
    assert "somebody" not in text

"""Who is let in, through real sockets: every endpoint, each kind of key and token, and what is told to whom."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import httpx
import prometheus_client
import pytest

from features.consent import ConsentRules
from serving.access.guard import Guard
from serving.access.keys import NewKey, new_key
from serving.access.scopes import AUDITED, OF_TOKENS, SCOPES
from serving.access.settings import AccessConfig
from serving.access.tokens import Token, Tokens
from serving.api.endpoints import ENDPOINTS, Endpoint
from serving.desk.desk import Desk
from serving.state import KeyStore, State, open_item_log, open_key_store, open_state
from serving.state.audit_log import Deed, entries_of

NOW = 1_767_225_600
"""2026-01-01T00:00:00Z, the present of desk and guard."""
MEMORY = "sqlite://:memory:"
PERSONAL = [one for one in ENDPOINTS if one.by_token]
DOOR = {400, 401, 403}
"""What is answered to a request that does not get to the desk."""
OF_NOBODY = {"/v1/similar"}
"""Endpoints that a token opens and that are about no person."""
BODIES: dict[str, dict[str, Any]] = {
    "/v1/rank": {"item_ids": ["i1"]},
    "/v1/profile/correct": {"remove_events": ["an event of nobody"]},
    "/v1/explain": {"item_id": "i1"},
    "/v1/similar": {"item_ids": ["i1"]},
}
"""What a request to an endpoint needs beside the ids of its person."""


class Shop(NamedTuple):
    """A guarded service."""

    client: httpx.Client
    keys: dict[str, NewKey]
    store: KeyStore
    state: State
    guard: Guard
    tokens: Tokens

    def key(self, **given: Any) -> NewKey:
        """A new key that the guard knows."""
        key = new_key(**{"scopes": SCOPES, "made": 0, **given})
        self.store.add(key.stored, Deed("keys_create", "root", 0))
        self.guard.look()
        return key

    def token(self, user_id: str | None = "ann", anonymous_id: str | None = None, **given: Any) -> str:
        usual = {"key_id": self.keys["person"].stored.key_id, "scopes": tuple(OF_TOKENS), "issued": NOW}
        return self.tokens.sign(Token(user_id, anonymous_id, **{**usual, "expires": NOW + 900, **given}))

    def post(self, path: str, body: Any, key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.client.post(path, json=body, headers=headers)


@pytest.fixture(scope="module")
def shop(run_door: Callable[..., str], new_stand_in: Callable[[], Any], agreed: ConsentRules) -> Iterator[Shop]:
    store, state, tokens = open_key_store(MEMORY), open_state(MEMORY), Tokens(["s" * 32])
    keys: dict[str, NewKey] = {scope: new_key([scope], 0) for scope in SCOPES}
    for key in keys.values():
        store.add(key.stored, Deed("keys_create", "root", 0))
    guard = Guard(
        store, tokens=tokens, clock=lambda: NOW + 0.5, settings=AccessConfig(token_rate=1_000, token_burst=1_000)
    )
    desk = Desk(new_stand_in(), state, open_item_log(MEMORY), clock=lambda: NOW * 1000, tokens=tokens, consent=agreed)
    url = run_door(lambda: desk, guard)
    with httpx.Client(base_url=url, timeout=20) as client:
        end = time.monotonic() + 10
        while (ready := client.get("/readyz")).status_code != HTTPStatus.OK:
            assert time.monotonic() < end, ready.text
            time.sleep(0.01)
        yield Shop(client, keys, store, state, guard, tokens)


def refused(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer; a 401 says how to come in."""
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    if status == HTTPStatus.UNAUTHORIZED:
        assert response.headers["www-authenticate"].startswith('Bearer realm="tailorbird"')
    return error


def body_of(endpoint: Endpoint, **ids: str) -> dict[str, Any]:
    """A right request about the person of these ids."""
    if endpoint.path == "/v1/events":
        return {"events": [{"event_id": f"e-{time.perf_counter_ns()}", "item_id": "i1", "type": "view", **ids}]}
    return {**BODIES.get(endpoint.path, {}), **({} if endpoint.path in OF_NOBODY else ids)}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.path)
def test_every_endpoint_refuses_everybody_but_a_key_with_its_scope(shop: Shop, endpoint: Endpoint) -> None:
    assert endpoint.scope in SCOPES
    assert refused(shop.post(endpoint.path, {}), 401)["code"] == "unauthorized"
    assert refused(shop.post(endpoint.path, {}, new_key(SCOPES, 0).text), 401)["message"] == "the key is not valid"
    for scope in set(SCOPES) - {endpoint.scope}:
        response = shop.post(endpoint.path, {}, shop.keys[scope].text)
        error = refused(response, 403)
        assert (error["code"], f"the scope `{endpoint.scope}`" in error["message"]) == ("forbidden", True)
        assert f'error="insufficient_scope", scope="{endpoint.scope}"' in response.headers["www-authenticate"]
    assert shop.post(endpoint.path, {}, shop.keys[endpoint.scope].text).status_code in (200, 400)


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if not one.by_token], ids=lambda one: one.path)
def test_a_token_opens_nothing_that_is_not_for_persons(shop: Shop, endpoint: Endpoint) -> None:
    error = refused(shop.post(endpoint.path, {}, shop.token()), 403)
    assert error["message"] == "a person's token does not open this endpoint"


@pytest.mark.parametrize("endpoint", PERSONAL, ids=lambda one: one.path)
def test_a_token_speaks_for_its_own_person_alone(shop: Shop, endpoint: Endpoint) -> None:
    assert endpoint.scope in OF_TOKENS
    response = shop.post(endpoint.path, body_of(endpoint, user_id="ann"), shop.token("ann"))
    assert response.status_code not in DOOR, f"{response.text}: complete BODIES for this endpoint"
    visitor = shop.token(None, "v-7")
    assert shop.post(endpoint.path, body_of(endpoint, anonymous_id="v-7"), visitor).status_code not in DOOR
    if endpoint.path in OF_NOBODY:
        return
    for token, ids in (
        (shop.token("ann"), {"user_id": "bob"}),
        (shop.token("ann"), {"anonymous_id": "ann"}),
        (visitor, {"user_id": "v-7"}),
        (visitor, {"anonymous_id": "v-8"}),
        (shop.token("ann", "v-7"), {"anonymous_id": "v-8"}),
    ):
        error = refused(shop.post(endpoint.path, body_of(endpoint, **ids), token), 403)
        assert "the token speaks for one person" in error["message"]
        assert not set(ids.values()) & set(error["message"].split())


def test_a_token_at_a_login_speaks_for_both_pasts(shop: Shop) -> None:
    both = {"user_id": "ann", "anonymous_id": "v-7"}
    assert shop.post("/v1/recommend", both, shop.token("ann", "v-7")).status_code == HTTPStatus.OK
    refused(shop.post("/v1/recommend", both, shop.token("ann")), 403)


def test_events_of_another_person_are_refused_with_all_that_came_along(shop: Shop) -> None:
    mine = {"event_id": "mine", "item_id": "i1", "type": "view", "user_id": "eve"}
    batch = {"events": [mine, {**mine, "event_id": "not mine", "user_id": "bob"}]}
    refused(shop.post("/v1/events", batch, shop.token("eve")), 403)
    assert shop.state.known(["mine", "not mine"]) == set()
    odd = {"events": [mine, "no event", {**mine, "event_id": "odd", "user_id": 7}]}
    results = shop.post("/v1/events", odd, shop.token("eve")).json()["results"]
    assert [one["status"] for one in results] == ["stored", "rejected", "rejected"]


def test_whatever_touches_a_person_runs_where_its_entry_is_written() -> None:
    assert all(one.lane == "writes" or one.streamed for one in ENDPOINTS if one.scope in AUDITED)


def test_keys_are_looked_at_before_the_body(shop: Shop) -> None:
    assert refused(shop.client.post("/v1/recommend", content=b"{"), 401)
    assert shop.client.post("/v1/recommend", content=b"x" * 2_000_000).status_code == HTTPStatus.UNAUTHORIZED


BAD_HEADERS: dict[str, Any] = {
    "another kind": "Basic YTpi",
    "no kind": "tb_0123456789ab_secret",
    "nothing": "",
    "no key": "Bearer",
    "a word": "Bearer hello",
    "no text": b"Bearer \xff\xfe",
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_what_is_no_key_is_refused(shop: Shop, case: str) -> None:
    response = shop.client.post("/v1/recommend", json={}, headers={"authorization": BAD_HEADERS[case]})
    assert refused(response, 401)["code"] == "unauthorized"


def test_two_keys_in_one_request_are_refused(shop: Shop) -> None:
    text = f"Bearer {shop.keys['recommend'].text}"
    headers = [("authorization", text), ("authorization", text)]
    assert refused(shop.client.post("/v1/recommend", json={}, headers=headers), 401)["message"] == (
        "there is more than one key"
    )


def test_two_keys_hold_at_once_until_the_old_one_ends(shop: Shop) -> None:
    old, new = shop.key(), shop.key()
    assert {shop.post("/v1/recommend", {}, key.text).status_code for key in (old, new)} == {200}
    shop.store.expire(old.stored.key_id, NOW * 1000, Deed("keys_revoke", "root", 0))
    shop.guard.look()
    assert "expired or was revoked" in refused(shop.post("/v1/recommend", {}, old.text), 401)["message"]
    assert shop.post("/v1/recommend", {}, new.text).status_code == HTTPStatus.OK


def test_a_key_ends_by_the_clock(shop: Shop) -> None:
    assert shop.post("/v1/recommend", {}, shop.key(expires=NOW * 1000 + 501).text).status_code == HTTPStatus.OK
    refused(shop.post("/v1/recommend", {}, shop.key(expires=NOW * 1000 + 500).text), 401)


def test_an_expired_token_is_401_and_says_so(shop: Shop) -> None:
    response = shop.post("/v1/recommend", {}, shop.token(issued=NOW - 900, expires=NOW))
    assert refused(response, 401)["message"] == "the token has expired"
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_token_ends_with_the_key_that_stands_behind_it(shop: Shop) -> None:
    key = shop.key(scopes=["person"])
    token = shop.token(key_id=key.stored.key_id)
    assert shop.post("/v1/profile", {"user_id": "ann"}, token).status_code == HTTPStatus.OK
    shop.store.expire(key.stored.key_id, 0, Deed("keys_revoke", "root", 0))
    shop.guard.look()
    assert "behind the token" in refused(shop.post("/v1/profile", {"user_id": "ann"}, token), 401)["message"]
    powerless = shop.token(key_id=shop.keys["recommend"].stored.key_id)
    refused(shop.post("/v1/recommend", {}, powerless), 401)


def test_a_token_is_made_with_a_key_and_used_without_it(shop: Shop) -> None:
    made = shop.post("/v1/tokens", {"user_id": "eva", "seconds": 60}, shop.keys["person"].text).json()
    assert made["expires"] == "2026-01-01T00:01:00.000Z"
    assert shop.post("/v1/profile", {"user_id": "eva"}, made["token"]).status_code == HTTPStatus.OK
    refused(shop.post("/v1/profile", {"user_id": "ann"}, made["token"]), 403)
    narrow = shop.post("/v1/tokens", {"user_id": "eva", "scopes": ["recommend"]}, shop.keys["person"].text).json()
    assert narrow["expires"] == "2026-01-01T00:15:00.000Z"
    refused(shop.post("/v1/profile", {"user_id": "eva"}, narrow["token"]), 403)


@pytest.mark.parametrize(
    "asked",
    [{}, {"user_id": "a", "seconds": 3601}, {"user_id": "a", "scopes": []}, {"user_id": "a", "scopes": ["admin"]}],
)
def test_a_token_for_nobody_or_for_too_much_is_refused(shop: Shop, asked: dict[str, Any]) -> None:
    refused(shop.post("/v1/tokens", asked, shop.keys["person"].text), 400)


def test_a_rate_is_answered_with_429_and_a_time(shop: Shop) -> None:
    key = shop.key(rate=0.01, burst=2)
    responses = [shop.post("/v1/recommend", {}, key.text) for _ in range(3)]
    assert [one.status_code for one in responses] == [200, 200, 429]
    assert refused(responses[2], 429)["code"] == "rate_limited"
    assert 90 <= int(responses[2].headers["retry-after"]) <= 100
    assert shop.post("/v1/recommend", {}, shop.keys["recommend"].text).status_code == HTTPStatus.OK


def test_what_is_done_with_a_person_stands_in_the_log_and_lists_do_not(shop: Shop) -> None:
    before = len(shop.state.audit_log.after(0))
    done = {"event_id": "log", "item_id": "i1", "type": "view", "user_id": "log"}
    shop.post("/v1/events", {"events": [done]}, shop.keys["events"].text)
    shop.post("/v1/recommend", {"user_id": "log"}, shop.keys["recommend"].text)
    assert len(shop.state.audit_log.after(0)) == before
    answer = shop.post("/v1/profile", {"user_id": "log"}, shop.keys["person"].text).json()
    token = shop.post("/v1/tokens", {"user_id": "log"}, shop.keys["person"].text).json()["token"]
    shop.post("/v1/profile", {"user_id": "log"}, token)
    shop.post("/v1/profile", {"user_id": "log", "newest": 0}, token)
    first, second, third = entries_of(shop.state.audit_log, "log")
    key_id = shop.keys["person"].stored.key_id
    assert (first.action, first.actor, first.request_id) == ("profile", key_id, answer["request_id"])
    assert (second.action, third.action, third.actor) == ("tokens", "profile", f"{key_id} for a person")


def test_nothing_of_a_key_or_token_is_told_or_kept(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, token = shop.key(scopes=["recommend"]), shop.token()
    said = ""
    for secret in (key.text, token, key.text + "x", token + "x"):
        for path in ("/v1/recommend", "/v1/items", "/v1/nothing", "/metrics"):
            response = shop.post(path, {"user_id": "bob"}, secret)
            said += response.text + str(response.headers)
    said += caplog.text + prometheus_client.generate_latest().decode()
    said += repr(shop.store.keys()) + json.dumps([one._asdict() for one in shop.state.audit_log.after(0)], default=str)
    for secret in (key.text.split("_", 2)[2], *token.split(".")[1:]):
        assert secret not in said


def test_pages_need_no_key(shop: Shop) -> None:
    for path in ("/livez", "/readyz", "/openapi.json", "/", "/metrics"):
        assert shop.client.get(path).status_code == HTTPStatus.OK, "this machine asks"
    elsewhere = {"host": "shop.example"}
    for path in ("/livez", "/readyz", "/openapi.json", "/"):
        assert shop.client.get(path, headers=elsewhere).status_code == HTTPStatus.OK
    refused(shop.client.get("/metrics", headers=elsewhere), 401)
    key = {**elsewhere, "authorization": f"Bearer {shop.keys['catalogue'].text}"}
    assert shop.client.get("/metrics", headers=key).status_code == HTTPStatus.OK

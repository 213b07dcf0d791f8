"""Whom the guard lets in by where a connection comes from, without a key, and with keys that were revoked or set."""

from http import HTTPStatus
from typing import Any

import pytest

from serving.access.conversation import is_local, is_loopback
from serving.access.guard import Guard
from serving.access.keys import environment_line, keys_from_environment, new_key
from serving.access.scopes import SCOPES
from serving.access.settings import AccessConfig
from serving.api.endpoints import ENDPOINTS, Endpoint
from serving.api.problems import HttpError
from serving.state import open_key_store
from serving.state.audit_log import Deed

MEMORY = "sqlite://:memory:"


def ends(client: str, server: str, **headers: str) -> Any:
    """An ASGI connection."""
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "client": (client, 1), "server": (server, 3000), "headers": sent}


FAR = ends("203.0.113.9", "192.0.2.1", host="shop.example")
NEAR = ends("127.0.0.1", "127.0.0.1", host="127.0.0.1:3000")
ENDPOINT = ENDPOINTS[0]


def told(guard: Guard, scope: Any, endpoint: Endpoint = ENDPOINT) -> HttpError:
    with pytest.raises(HttpError) as raised:
        guard.enter(endpoint, scope)
    return raised.value


def test_without_any_key_only_the_machine_itself_is_answered() -> None:
    guard = Guard(open_key_store(MEMORY))
    assert guard.enter(ENDPOINT, NEAR).actor == "local"
    error = told(guard, FAR)
    assert (error.status, error.message) == (401, "nobody has a key yet, so only the machine itself is answered")
    assert "tailorbird keys create" in str(error.hint)


def test_counts_are_for_the_machine_itself_for_keys_and_for_everybody_if_so_configured() -> None:
    key, store = new_key(["catalogue"], 0), open_key_store(MEMORY)
    store.add(key.stored, Deed("keys_create", "root", 0))
    guard = Guard(store)
    guard.check_metrics(NEAR)
    guard.check_metrics({**FAR, "headers": [*FAR["headers"], (b"authorization", b"Bearer " + key.text.encode())]})
    with pytest.raises(HttpError, match="an API key is needed"):
        guard.check_metrics(FAR)
    Guard(store, settings=AccessConfig(open_metrics=True)).check_metrics(FAR)


def test_a_revoked_key_does_not_open_the_door_again() -> None:
    store = open_key_store(MEMORY)
    key = new_key(SCOPES, 0, expires=1)
    store.add(key.stored, Deed("keys_create", "root", 0))
    assert told(Guard(store), NEAR).status == HTTPStatus.UNAUTHORIZED


def test_keys_of_the_environment_hold_beside_those_of_the_store() -> None:
    key = new_key(["recommend"], 0)
    guard = Guard(open_key_store(MEMORY), keys_from_environment(environment_line(key.stored)))
    assert told(guard, NEAR).status == HTTPStatus.UNAUTHORIZED
    sent = [*FAR["headers"], (b"authorization", b"Bearer " + key.text.encode())]
    assert guard.enter(ENDPOINT, {**FAR, "headers": sent}).actor == key.stored.key_id


def test_open_to_everybody_needs_a_reason_which_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(open_key_store(MEMORY), settings=AccessConfig(open=True, why="only our gateway reaches it"))
    assert "everybody is answered without a key: only our gateway reaches it" in caplog.text
    assert guard.enter(ENDPOINT, FAR).actor == "open"
    for given in ({"open": True}, {"why": "only our gateway reaches it"}, {"open": True, "why": "so"}):
        with pytest.raises(ValueError, match="why"):
            AccessConfig.model_validate(given)


@pytest.mark.parametrize(
    ("scope", "local"),
    [
        (NEAR, True),
        (ends("::1", "::1", host="[::1]:3000"), True),
        (ends("127.0.0.1", "127.0.0.1", host="localhost", origin="http://localhost:3000"), True),
        (ends("127.0.0.1", "127.0.0.1"), True),
        (FAR, False),
        (ends("192.0.2.1", "192.0.2.1", host="192.0.2.1"), False),
        (ends("203.0.113.9", "127.0.0.1", host="localhost"), False),
        (ends("127.0.0.1", "127.0.0.1", host="localhost", origin="https://evil.example"), False),
        (ends("127.0.0.1", "127.0.0.1", host="localhost", origin="null"), False),
        (ends("127.0.0.1", "127.0.0.1", host="rebound.example:3000"), False),
        (ends("127.0.0.1", "127.0.0.1", host="[broken"), False),
        ({**NEAR, "client": None}, False),
    ],
)
def test_what_stays_within_the_machine(scope: Any, local: bool) -> None:
    assert is_local(scope) == local


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.1", False), ("shop.example", False), ("", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host: str, local: bool) -> None:
    assert is_loopback(host) == local

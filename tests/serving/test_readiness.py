"""A service that is not ready, or breaks, through real sockets: it lives, says why, and tells nothing else."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from features.errors import BundleError, StateError, TailorbirdError
from serving.desk.desk import Desk
from serving.http import reception
from tests.serving.error_form import error_of


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

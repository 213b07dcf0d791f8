"""The log as JSON: every line an object, each request by its id of ours, and nothing of a person in any of them."""

import io
import json
import logging
import logging.config
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from features.consent import ConsentRules, Purpose
from features.errors import ConfigError
from serving.desk.desk import Desk
from serving.pipeline import Pipeline
from serving.settings import ServingConfig
from serving.state import open_item_log, open_state
from serving.telemetry.current import Trace, Work, concerning
from serving.telemetry.logs import JsonLines, logging_as
from serving.telemetry.settings import LoggingConfig

MEMORY = "sqlite://:memory:"
PERSON = "anna.kowalska@example.org"
ITEM = "secret-item-77"
AGREED = ConsentRules.parse({purpose.value: {"unknown": "granted", "basis": "a test"} for purpose in Purpose})
BENTOML: dict[str, Any] = {
    "version": 1,
    "formatters": {"traced": {"format": "%(message)s"}},
    "handlers": {"tracehandler": {"class": "logging.StreamHandler", "formatter": "traced"}},
    "loggers": {
        "bentoml": {"level": logging.INFO, "handlers": ["tracehandler"], "propagate": False},
        "uvicorn.error": {"level": logging.WARNING, "handlers": ["tracehandler"], "propagate": True},
    },
    "root": {"handlers": ["tracehandler"], "level": logging.WARNING},
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service's loggers write as JSON, each request included."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("bentoml")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(before)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def fail(*_: Any) -> Any:
    raise ValueError(f"no such thing as {PERSON} and {ITEM}")


@pytest.fixture
def broken(run_door: Callable[..., str], stand_in: Any) -> Iterator[httpx.Client]:
    stand_in.recommend = fail
    pipeline = cast("Pipeline", stand_in)
    url = run_door(lambda: Desk(pipeline, open_state(MEMORY), open_item_log(MEMORY), consent=AGREED))
    with httpx.Client(base_url=url, timeout=20) as client:
        deadline = time.monotonic() + 20
        while (ready := client.get("/readyz")).status_code != 200:
            assert time.monotonic() < deadline, ready.text
            time.sleep(0.01)
        yield client


def test_requests_are_told_by_our_id_and_nothing_of_theirs(log: io.StringIO, broken: httpx.Client) -> None:
    answer = broken.post("/v1/recommend", json={"user_id": PERSON, "exclude": [ITEM]})
    event = {"event_id": f"e-{PERSON}", "user_id": PERSON, "item_id": ITEM, "type": "view"}
    stored = broken.post("/v1/events", json={"events": [event, {**event, "type": PERSON}]})
    wrong = broken.post("/v1/recommend", json={"user_id": PERSON, PERSON: ITEM})
    assert (answer.status_code, stored.status_code, wrong.status_code) == (500, 200, 400)
    told = lines(log)
    assert PERSON not in log.getvalue()
    assert ITEM not in log.getvalue()
    request_id = answer.json()["error"]["request_id"]
    fault = next(one for one in told if one.get("request_id") == request_id and one["level"] == "error")
    assert fault["bundle"] == "standin"
    assert fault["worker"] == answer.headers["x-tailorbird-worker"]
    assert {"time", "level", "logger", "message"} <= set(fault)
    asked = {(one["request_id"], one["message"].split(" ms")[0].rpartition(" ")[0]) for one in told if "ms" in str(one)}
    assert (stored.json()["request_id"], "/v1/events 200") in asked
    assert (wrong.json()["error"]["request_id"], "/v1/recommend 400") in asked


def formatted(message: str, *values: Any, error: BaseException | None = None) -> dict[str, Any]:
    caught = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "a.py", 1, message, values, caught)
    line = JsonLines().format(record)
    assert "\n" not in line
    told: dict[str, Any] = json.loads(line)
    return told


def test_an_exception_is_told_by_its_kind_and_places_alone() -> None:
    try:
        raise KeyError(PERSON)
    except KeyError as error:
        told = formatted("Exception in\nASGI application", error=error)
    assert told["error"] == "KeyError"
    assert "test_an_exception_is_told" in told["places"]
    assert PERSON not in str({**told, "places": ""})


def test_a_record_that_does_not_fit_its_values_is_still_a_line() -> None:
    assert formatted("%d of %s", "x")["message"] == "%d of %s"


def test_a_trace_is_named_where_there_is_one() -> None:
    assert "trace_id" not in formatted("so")
    with concerning(Work("r1", cast("Trace", SimpleNamespace(trace_id="t1")), "candidate")):
        told = formatted("so")
    assert (told["request_id"], told["trace_id"], told["bundle"]) == ("r1", "t1", "candidate")


def test_the_dictionary_of_bentoml_is_kept_but_for_form_and_level() -> None:
    made = logging_as(LoggingConfig(format="json", level="error"), BENTOML)
    assert made["handlers"] == BENTOML["handlers"]
    assert {one["level"] for one in (made["root"], *made["loggers"].values())} == {logging.ERROR}
    assert not made["loggers"]["uvicorn.error"]["propagate"]
    assert BENTOML["root"]["level"] == logging.WARNING
    assert logging_as(LoggingConfig(), BENTOML)["formatters"] == BENTOML["formatters"]
    logging.config.DictConfigurator({**made, "incremental": False}).configure_formatter(made["formatters"]["traced"])


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="format"):
        ServingConfig.parse({"logging": {"format": "xml"}})

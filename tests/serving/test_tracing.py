"""Traces of requests, as a collector gets them: a real one's HTTP and protobuf, decoded in the test."""

import builtins
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from features.errors import ConfigError
from serving.settings import ServingConfig
from serving.telemetry.settings import TracingConfig
from serving.telemetry.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ENDED = 10.0


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def of(self, trace: str) -> list[Any]:
        return [span for span in self.spans if span.trace_id.hex() == trace]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def send_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + ENDED
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def attributes(span: Any) -> dict[str, Any]:
    return {
        one.key: one.value.string_value if one.value.HasField("string_value") else one.value.int_value
        for one in span.attributes
    }


def parent(trace: str, *, recorded: bool) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{PARENT}-0{int(recorded)}"}


@pytest.mark.usefixtures("send_often")
def test_a_request_is_traced_with_its_stages_in_its_callers_trace_and_names_nobody(
    collector: Collector, run_door: Callable[..., str], desk: Any
) -> None:
    url = run_door(lambda: desk, tracing=TracingConfig(endpoint=collector.endpoint, sample=0, service="picks"))
    until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    unwanted = "1" * 32
    for headers in (parent(unwanted, recorded=False), {}, parent(TRACE, recorded=True)):
        answer = httpx.post(f"{url}/v1/recommend", json={"user_id": "anna-secret"}, headers=headers)
        assert answer.status_code == 200
    refused = "2" * 32
    httpx.post(f"{url}/v1/recommend", json={"k": 0}, headers=parent(refused, recorded=True))
    until(lambda: collector.of(TRACE) and collector.of(refused))
    spans = {span.name: span for span in collector.of(TRACE)}
    request, rank = spans["POST /v1/recommend"], spans["rank"]
    assert request.parent_span_id.hex() == PARENT
    assert rank.parent_span_id == request.span_id
    assert request.start_time_unix_nano <= rank.start_time_unix_nano < rank.end_time_unix_nano
    assert rank.end_time_unix_nano <= request.end_time_unix_nano
    told = attributes(request)
    assert told["http.route"] == "/v1/recommend"
    assert (told["http.response.status_code"], told["tailorbird.bundle"]) == (200, "standin")
    assert [attributes(span)["http.response.status_code"] for span in collector.of(refused)] == [400]
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE, refused}, "the others were not to be recorded"
    assert collector.services == {"picks"}
    assert "anna-secret" not in str(collector.spans)


@pytest.mark.usefixtures("send_often")
def test_the_share_that_is_recorded_is_that_of_the_configuration(collector: Collector) -> None:
    tracing = Tracing.of(TracingConfig(endpoint=collector.endpoint, sample=0.2))
    assert tracing is not None
    begun = [tracing.begin("/v1/recommend", ()) for _ in range(2000)]
    recorded = [one for one in begun if one]
    assert 300 <= len(recorded) <= 500, "six standard deviations around 400"
    for one in recorded:
        one.end(503)
    tracing.close()
    assert len(collector.spans) == len(recorded)
    assert {span.status.code for span in collector.spans} == {2}, "a 503 is the service's own error"


@pytest.mark.parametrize(
    "traceparent", [b"", b"00-xyz-1-01", b"\xff\xfe", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01"]
)
def test_what_is_no_traceparent_begins_a_trace_of_its_own(collector: Collector, traceparent: bytes) -> None:
    tracing = Tracing.of(TracingConfig(endpoint=collector.endpoint, sample=1))
    assert tracing is not None
    request = tracing.begin("/v1/rank", [(b"traceparent", traceparent)])
    assert request is not None
    assert len(request.trace_id) == 32
    assert set(request.trace_id) != {"0"}
    tracing.close()


def test_a_collector_that_is_not_there_costs_no_answer(run_door: Callable[..., str], desk: Any) -> None:
    nowhere = "http://127.0.0.1:9/v1/traces"
    url = run_door(lambda: desk, tracing=TracingConfig(endpoint=nowhere, sample=1))
    until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    assert httpx.post(f"{url}/v1/recommend", json={"user_id": "u"}).status_code == 200


def test_by_default_nothing_is_traced() -> None:
    assert Tracing.of(ServingConfig().tracing) is None


def test_without_the_exporters_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(name)
        return real(name, *rest, **more)

    for name in [one for one in sys.modules if one.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"Install tailorbird\[tracing\]"):
        Tracing.of(TracingConfig(endpoint="http://127.0.0.1:9/v1/traces"))

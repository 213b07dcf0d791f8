"""Traces of requests for OpenTelemetry: one span for a request, and one in it for each stage that a list went through.

Where a caller sends W3C's `traceparent`, its trace and its decision whether to record are taken over; the log names the
trace. Nothing in a span is of a person: route, status, bundle and times. A request that is not recorded costs the
decision alone, and without an endpoint in the configuration not even that.
"""

from collections.abc import Iterable, Mapping
from time import time_ns
from typing import Any, Self

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from features.errors import ConfigError
from serving.telemetry.settings import TracingConfig
from serving.telemetry.worker_name import WORKER

_PASSED_ON = (b"traceparent", b"tracestate")
_NANOSECONDS = 1_000_000
"""In a millisecond."""


class RequestTrace:
    """One request that is recorded; used by one thread after another."""

    def __init__(self, span: Span, tracer: Tracer) -> None:
        self._span = span
        self._tracer = tracer

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return format_trace_id(self._span.get_span_context().trace_id)

    def listed(self, bundle: str, timings: Mapping[str, float]) -> None:
        """A list is just made by a bundle: milliseconds of its stages, one after the other."""
        self._span.set_attribute("tailorbird.bundle", bundle)
        context = set_span_in_context(self._span, Context())
        start = time_ns() - int(sum(timings.values()) * _NANOSECONDS)
        for stage, milliseconds in timings.items():
            end = start + int(milliseconds * _NANOSECONDS)
            self._tracer.start_span(stage, context, start_time=start).end(end)
            start = end

    def end(self, status: int) -> None:
        """The answer is made, or begun where it is streamed."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracing:
    """Decides what is recorded, and sends it from a thread of its own; what cannot be sent in time is dropped."""

    def __init__(self, config: TracingConfig, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.sample)),
            resource=Resource.create({"service.name": config.service, "service.instance.id": WORKER}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tailorbird")

    @classmethod
    def of(cls, config: TracingConfig) -> Self | None:
        """What the configuration asks for; None when it names no endpoint.

        Raises ConfigError when the package that sends traces is not installed.
        """
        return None if config.endpoint is None else cls(config, _exporter(config.endpoint))

    def begin(self, route: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestTrace | None:
        """Begin a request with these headers, of ASGI's kind; None when it is not recorded."""
        span = self._tracer.start_span(
            f"POST {route}",
            _context(headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": "POST", "http.route": route},
        )
        return RequestTrace(span, self._tracer) if span.is_recording() else None

    def close(self) -> None:
        """Send what waits, as long as the endpoint takes it."""
        self._provider.shutdown()


def _context(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Of the caller's trace; empty where there is none, or none that can be read."""
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name in _PASSED_ON}
    return TraceContextTextMapPropagator().extract(carrier, Context()) if carrier else Context()


def _exporter(endpoint: str) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise ConfigError(
            "traces cannot be sent: the package of OpenTelemetry's OTLP exporter is not installed",
            field="serving.tracing.endpoint",
            hint="Install tailorbird[tracing], or leave the endpoint out.",
        ) from None
    return OTLPSpanExporter(endpoint=endpoint)

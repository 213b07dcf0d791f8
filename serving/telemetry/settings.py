"""The sections of `serving` that say what the service tells of itself, and in which form."""

from typing import Literal

from pydantic import Field

from features.strict import StrictConfig


class LoggingConfig(StrictConfig):
    """What the service writes to its standard output; never a person's id or data."""

    format: Literal["text", "json"] = "text"
    """`json` writes one object per line, BentoML's and the server's own lines included, for a log collector."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important lines that are written; `debug` has a line for each request, with its route, status and time."""


class TracingConfig(StrictConfig):
    """Which requests are traced, and where to; by default none."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^@]+$")
    """Where OTLP over HTTP is taken, such as http://collector:4318/v1/traces. Needs the extra `tracing`. What the
    collector wants besides, such as a key, is told in OpenTelemetry's own OTEL_EXPORTER_OTLP_HEADERS."""
    sample: float = Field(default=0.01, ge=0, le=1)
    """Share of the requests that are recorded, of those whose caller has not decided by a `traceparent`."""
    service: str = Field(default="tailorbird", min_length=1)
    """The name of this service in traces."""

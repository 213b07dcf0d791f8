"""Lines of the log as JSON: one object a line, whoever wrote it, and nothing in it of a person.

Texts of exceptions are left out, because they may hold what a caller sent: their kind and places say where to look.
"""

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson

from serving.telemetry.current import bundle_name, current
from serving.telemetry.settings import LoggingConfig
from serving.telemetry.worker_name import WORKER


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object; what has nothing to say is left out."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line, without the line's end."""
        work = current()
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "request_id": work.request_id if work else None,
            "bundle": (work.bundle if work else None) or bundle_name(),
            "worker": WORKER,
            "trace_id": work.trace.trace_id if work and work.trace else None,
        }
        if record.exc_info and record.exc_info[0]:
            said["error"] = record.exc_info[0].__name__
            said["places"] = "".join(traceback.format_tb(record.exc_info[2]))
        return orjson.dumps({name: value for name, value in said.items() if value is not None}).decode()


def logging_as(config: LoggingConfig, dictionary: dict[str, Any]) -> dict[str, Any]:
    """A dictionary of `logging.config` with this form and level in place of its own; its handlers stay."""
    loggers = {
        name: {**one, "propagate": False} for name, one in dictionary["loggers"].items()
    }  # else it is told twice
    made = {**dictionary, "loggers": loggers, "root": dict(dictionary["root"])}
    if config.format == "json":
        made["formatters"] = {key: {"()": f"{__name__}.{JsonLines.__name__}"} for key in dictionary["formatters"]}
    made["loggers"]["bentoml"]["level"] = level = getattr(logging, config.level.upper())
    for one in (made["root"], *made["loggers"].values()):
        one["level"] = max(level, one["level"])
    return made


def _message(record: logging.LogRecord) -> str:
    """The text with its values; a record whose values do not fit it is told as it stands, never as an error."""
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)

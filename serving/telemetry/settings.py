"""The sections of `serving` that say what the service tells of itself, and in which form."""

from typing import Literal

from features.strict import StrictConfig


class LoggingConfig(StrictConfig):
    """What the service writes to its standard output; never a person's id or data."""

    format: Literal["text", "json"] = "text"
    """`json` writes one object per line, BentoML's and the server's own lines included, for a log collector."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important lines that are written; `debug` has a line for each request, with its route, status and time."""

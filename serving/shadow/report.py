"""What a shadow's answers were like, a line for each minute: counts and quantiles, and nothing of any person.

Each worker adds lines of its own, which are written whole. A minute in which nobody asked has none.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from serving.shadow.comparing import Difference

WINDOW_SECONDS = 60.0
"""What one line tells of."""
_DIGITS = 4


class Window:
    """The comparisons of one bundle with another, since a moment."""

    def __init__(self, live: str, shadow: str, start: float) -> None:
        """Names of both bundles; `start` in seconds since the epoch."""
        self.live = live
        self.shadow = shadow
        self.start = start
        self.outcomes: Counter[str] = Counter()
        self._differences: list[Difference] = []

    def add(self, difference: Difference) -> None:
        """Take a comparison into account."""
        self.outcomes["compared"] += 1
        self._differences.append(difference)

    def line(self, end: float) -> dict[str, Any] | None:
        """The window as plain data at its end, in seconds since the epoch; None when nothing happened in it."""
        if not self.outcomes:
            return None
        told = self._differences
        return {
            "from": _time(self.start),
            "to": _time(end),
            "live": self.live,
            "shadow": self.shadow,
            **{name: self.outcomes[name] for name in ("compared", "dropped", "failed")},
            "overlap": _quantiles([one.overlap for one in told], (10, 50)),
            "score_shift": _quantiles([one.score_shift for one in told if one.score_shift is not None], (10, 50, 90)),
            "live_ms": _quantiles([one.live_ms for one in told], (50, 99)),
            "shadow_ms": _quantiles([one.shadow_ms for one in told], (50, 99)),
        }


def append_line(line: dict[str, Any], path: Path) -> None:
    """Add a line to a report. Raises OSError when it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, f"{json.dumps(line)}\n".encode())
    finally:
        os.close(descriptor)


def _quantiles(values: Sequence[float], asked: Sequence[int]) -> dict[str, float] | None:
    if not values:
        return None
    found = np.percentile(values, asked).tolist()
    names = {"mean": float(np.mean(values)), **{f"p{one}": value for one, value in zip(asked, found, strict=True)}}
    return {name: round(value, _DIGITS) for name, value in names.items()}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

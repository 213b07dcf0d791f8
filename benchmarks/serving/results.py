"""results.json: one row for each catalogue size, each part of it written as soon as it was measured."""

import json
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmarks.accuracy.results import commit, hardware, write_atomically


class About(BaseModel):
    """What must be known to judge a figure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measured: str
    """Moment, UTC."""
    commit: str
    hardware: str
    load: tuple[float, float, float]
    """Load of the machine over 1, 5 and 15 minutes, before the part began."""
    command: str


class Row(BaseModel):
    """One catalogue size. A figure that was not measured yet is absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: int
    recommend_p50_ms: float | None = None
    """At 100 requests a second, from the moment that a request was due."""
    recommend_p95_ms: float | None = None
    recommend_p99_ms: float | None = None
    saturation_rps: float | None = None
    """Useful answers a second of one service with two workers when more is always waiting."""
    p50_over_stages: float | None = None
    """recommend_p50_ms over the median of the sum of the stages, measured in process in the same run."""
    ready_s: float | None = None
    """From the start of the command to readiness, page cache warm."""
    worker_mb: float | None = None
    """Proportional set size of the worker of a service with one, after 10,000 requests."""
    extra_worker_mb: float | None = None
    """Mean by which a further worker raises the proportional set size of all."""
    bulk_users_per_s: float | None = None
    upsert_p99_s: float | None = None
    """From the request to the moment that every worker ranks the item and finds it near its twin."""
    swap_failed: int | None = None
    swap_p99_ratio: float | None = None
    """p99 while the bundle is swapped over the p99 before."""
    swaps_memory_ratio: float | None = None
    """Proportional set size of all workers after fifty swaps over that after the first few."""
    filtered_recall: dict[str, float] | None = None
    """recall@10 against exact filtered search, by share of the items allowed."""
    rates: dict[str, Any] = {}
    """The other fixed rates."""
    parts: dict[str, Any] = {}
    """Everything else that each part tells."""
    about: dict[str, About] = {}
    """By part."""


def about_now() -> About:
    """Where and when a part begins to be measured."""
    return About(
        measured=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        commit=commit(),
        hardware=hardware(),
        load=tuple(round(one, 2) for one in os.getloadavg()),  # type: ignore[arg-type]  # three, says the system
        command=shlex.join(["python", "-m", "benchmarks.serving", *portable(sys.argv[1:])]),
    )


def read_rows(path: Path) -> dict[str, Row]:
    """Rows by size."""
    if not path.exists():
        return {}
    return {size: Row.model_validate(one) for size, one in json.loads(path.read_text(encoding="utf-8")).items()}


def put_part(path: Path, size: str, items: int, part: str, figures: dict[str, Any], about: About) -> Row:
    """Lay the figures of a part into the row of a size: what the row names by its name, the rest below `parts`."""
    rows = read_rows(path)
    row = rows.get(size, Row(items=items))
    named = {name: value for name, value in figures.items() if name in NAMED}
    rest = {name: value for name, value in figures.items() if name not in NAMED}
    parts = {**row.parts, **({part: rest} if rest else {})}
    row = Row.model_validate({**row.model_dump(), **named, "parts": parts, "about": {**row.about, part: about}})
    write_rows(path, {**rows, size: row})
    return row


def write_rows(path: Path, rows: dict[str, Row]) -> None:
    """All rows, the smallest catalogue first."""
    ordered = sorted(rows.items(), key=lambda pair: pair[1].items)
    content = {size: row.model_dump(mode="json", exclude_none=True) for size, row in ordered}
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


NAMED = frozenset(Row.model_fields) - {"items", "parts", "about"}


def portable(arguments: list[str]) -> list[str]:
    """Arguments without those that only say where this machine keeps its files."""
    places = [index for index, one in enumerate(arguments) if one in ("--folder", "--results")]
    left_out = {index + step for index in places for step in (0, 1)}
    return [one for index, one in enumerate(arguments) if index not in left_out]

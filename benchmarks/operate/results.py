"""results.json, a list of measured rows, and RESULTS.md, which is made from it alone.

A study measures, calls `put`, and is done: the page needs no change for it. `about_now` is asked before measuring.
"""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmarks.accuracy.results import commit, hardware, write_atomically

HERE = Path(__file__).resolve().parent
TITLES = {
    "warm_start": "A warm start beside a full training",
    "prepare": "Tables made ready for training",
    "two_processes": "One training in several processes",
    "replicas": "Replicas that share a store",
    "index": "An index past memory",
    "growth": "The growth curve",
    "canary": "Shadow, canary, rollback",
    "watching": "Watching",
}
"""Of the studies, in the order of the page; one that is not named here comes last, under its own name."""


class About(BaseModel):
    """What must be known to judge a figure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str
    measured: str
    """Date and time, UTC."""
    commit: str
    hardware: str
    load: list[float]
    """Of the machine before, over 1, 5 and 15 minutes."""
    note: str = ""
    """What the load does not say."""


class Row(BaseModel):
    """What one run of a study found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    name: str
    """Of the row in its study: what was varied."""
    figures: dict[str, float | int | str | None]
    """By name with unit, such as `seconds` or `peak, GB`; None where there is none."""
    target: str = ""
    """What was asked for, in words."""
    met: bool | None = None
    """Whether this run holds the target; None where it does not ask for it."""
    about: About


def about_now(module: str, note: str = "") -> About:
    """The machine and the command line of a study, `module` such as `benchmarks.operate.prepare`."""
    return About(
        command=shlex.join(["python", "-m", module, *sys.argv[1:]]),
        measured=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        commit=commit(),
        hardware=hardware(),
        load=[round(one, 2) for one in os.getloadavg()],
        note=note,
    )


def read(folder: Path = HERE) -> list[Row]:
    """All rows that were measured."""
    path = folder / "results.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [Row.model_validate(one) for one in content]


def put(row: Row, folder: Path = HERE) -> None:
    """Write a row, in place of the one of its study and name, and the page anew."""
    rows = read(folder)
    known = {(one.study, one.name): one for one in rows} | {(row.study, row.name): row}
    content = [one.model_dump(mode="json") for one in known.values()]
    write_atomically(folder / "results.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_page(folder)


def write_page(folder: Path = HERE) -> None:
    """Write RESULTS.md from results.json."""
    write_atomically(folder / "RESULTS.md", page(read(folder)))


def page(rows: list[Row]) -> str:
    """RESULTS.md: a table for each study, and how each row was measured."""
    studies = sorted({row.study: None for row in rows}, key=lambda one: [*TITLES, one].index(one))
    lines = [
        "# Operating, measured",
        "",
        "`make bench-operate` measures and writes this page: `STUDY=prepare` and so on.",
    ]
    for study in studies:
        lines += ["", f"## {TITLES.get(study, study)}", "", *_study([row for row in rows if row.study == study])]
    return "\n".join(lines) + "\n"


def _study(rows: list[Row]) -> Iterator[str]:
    columns = list({name: None for row in rows for name in row.figures})
    yield "| " + " | ".join(["", *columns, "target", "holds"]) + " |"
    yield "|---|" + "---:|" * len(columns) + "---|---|"
    for row in rows:
        figures = [told(row.figures.get(name)) for name in columns]
        yield "| " + " | ".join([row.name, *figures, row.target or "–", _verdict(row.met)]) + " |"
    yield ""
    for row in rows:
        yield f"- {row.name}: {_circumstances(row.about)}"


def told(figure: float | str | None) -> str:
    """A figure as a reader takes it in: three digits of a fraction, thousands apart."""
    match figure:
        case None:
            return "–"
        case str() | bool():
            return str(figure)
        case int():
            return f"{figure:,}"
        case _:
            return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"


def _verdict(met: bool | None) -> str:
    verdicts: Mapping[bool | None, str] = {True: "yes", False: "**no**", None: "–"}
    return verdicts[met]


def _circumstances(about: About) -> str:
    load = "/".join(str(one) for one in about.load)
    note = f" {about.note}" if about.note else ""
    return (
        f"`{about.command}`, {about.measured} UTC, commit {about.commit}, {about.hardware}, load {load} before.{note}"
    )

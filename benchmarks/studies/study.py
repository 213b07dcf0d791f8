"""What every study shares: its command line, its tables, and the record of what it found.

A part of a study writes its figures into results.json as soon as they stand, beside commit, hardware, date and
command; RESULTS.md is rendered from that file alone.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from features.events import Tables
from features.frames import Frames
from features.tables import fingerprint
from training.config import TrainingConfig, read_training_config
from training.evaluation.metrics import Interval
from training.run import checked_tables

HERE = Path(__file__).parent
TITLES = {
    "cold_items": "Items that nobody has taken yet",
    "cold_users": "People of whom little is known",
    "ablation": "What each input earns",
    "multi_task": "What comes of a view",
    "position_bias": "Lists of which the first slots are looked at most",
}

Row = dict[str, Any]
"""Cells by column: text, numbers, or an `Interval`."""


class Asked(NamedTuple):
    """What one part of a study is asked to do."""

    config: TrainingConfig
    folder: Path
    """Where relative paths of the configuration start."""
    run: Path
    """Folder of this part's trainings, which go on where they stood."""
    output: Path
    """Folder of results.json, RESULTS.md and pictures."""
    users: int | None
    """Most users that are read, drawn evenly; None for all."""
    moments: int
    """Most moments that are judged, drawn evenly."""


class Table(NamedTuple):
    """Rows that have the same columns."""

    title: str
    rows: list[Row]


class Found(NamedTuple):
    """What one part of a study found."""

    about: str
    """What was done, for somebody who has not read the code."""
    data: str
    """Fingerprint of the tables that were read."""
    tables: list[Table]


class Part(NamedTuple):
    """One part of a study, on one data set."""

    config: str
    """Configuration, relative to the working directory, unless another is given."""
    work: Callable[[Asked], Found]


def study(name: str, parts: Mapping[str, Part]) -> click.Command:
    """The command of a study: runs its parts one after the other and records each."""

    @click.command(name)
    @click.option("--part", multiple=True, type=click.Choice(list(parts)), help="Only these parts.")
    @click.option("--config", type=click.Path(path_type=Path), help="In place of each part's own configuration.")
    @click.option("--max-epochs", type=click.IntRange(1), help="Bound on the epochs of the towers.")
    @click.option("--users", type=click.IntRange(1), help="Read at most so many users, drawn evenly.")
    @click.option("--moments", default=10_000, show_default=True, type=click.IntRange(1), help="Judge at most so many.")
    @click.option("--run", default="var/bench/studies", show_default=True, type=click.Path(path_type=Path))
    @click.option("--output", default=HERE, type=click.Path(path_type=Path), help="Folder of results.json.")
    def command(part: tuple[str, ...], run: Path, output: Path, **chosen: Any) -> None:
        for one in part or tuple(parts):
            started, given = time.time(), chosen["config"] or Path(parts[one].config)
            config, folder = read_training_config(given)
            asked = Asked(
                config=bounded(config, chosen["max_epochs"]),
                folder=folder,
                run=run / name / one,
                output=output,
                users=chosen["users"],
                moments=chosen["moments"],
            )
            found = parts[one].work(asked)
            record(name, one, found, _provenance(name, one, given, chosen, time.time() - started), output)
            click.echo(as_markdown({name: {one: _read(output)[name][one]}}))

    return command


def bounded(config: TrainingConfig, max_epochs: int | None) -> TrainingConfig:
    """The configuration with another bound on the epochs of the towers."""
    if max_epochs is None:
        return config
    return config.model_copy(update={"tower_fit": config.tower_fit.model_copy(update={"max_epochs": max_epochs})})


def read_tables(asked: Asked, frames: Frames | None = None) -> Tables:
    """The checked tables of the configuration, or `frames` in their place, of at most `asked.users` users."""
    tables = checked_tables(asked.config, asked.folder, asked.run, frames)
    count = len(tables.events.users)
    if asked.users is None or asked.users >= count:
        return tables
    kept = np.random.default_rng(asked.config.seed).choice(count, asked.users, replace=False)
    return only_events(tables, np.isin(tables.events.user_codes, kept))


def only_events(tables: Tables, keep: np.ndarray) -> Tables:
    """The tables with the events of a mask bool [N], and the fingerprint of that content."""
    events = tables.events.where(keep)
    return replace(tables, events=events, fingerprint=fingerprint(events, tables.users, tables.items))


def record(name: str, part: str, found: Found, provenance: Row, output: Path) -> Row:
    """Write one part into results.json, as it is returned, and render RESULTS.md again."""
    output.mkdir(parents=True, exist_ok=True)
    results = _read(output)
    tables = [{"title": one.title, "rows": [_plain(row) for row in one.rows]} for one in found.tables]
    content = {"about": found.about, "provenance": {**provenance, "data": found.data}, "tables": tables}
    results.setdefault(name, {})[part] = content
    (output / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    head = "# Studies\n\nWritten by `python -m benchmarks.studies.NAME` from results.json; do not edit.\n"
    (output / "RESULTS.md").write_text(f"{head}\n{as_markdown(_read(output))}", encoding="utf-8")
    return content


def as_markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """All parts of all studies, for people."""
    lines: list[str] = []
    for name, title in TITLES.items():
        for part, content in results.get(name, {}).items():
            lines += [f"## {title}: {part}", "", content["about"], ""]
            for table in content["tables"]:
                lines += [f"**{table['title']}**", "", *_table(table["rows"]), ""]
            lines += [f"{key}: {_cell(value)}  " for key, value in content["provenance"].items()] + [""]
    return "\n".join(lines)


def _read(output: Path) -> dict[str, Any]:
    path = output / "results.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def _plain(row: Row) -> Row:
    return {name: cell._asdict() if isinstance(cell, Interval) else cell for name, cell in row.items()}


def _table(rows: list[Row]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    body = [f"| {' | '.join(_cell(row.get(name)) for name in columns)} |" for row in rows]
    return [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}", *body]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case {"mean": mean, "low": low, "high": high}:
            return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
        case float():
            return f"{value:.4f}"
        case _:
            return str(value)


def _provenance(name: str, part: str, config: Path, chosen: Row, seconds: float) -> Row:
    """Where, when and how; no path but that of the configuration, by its name."""
    options = [f"--part {part}", *(["--config " + config.name] if chosen["config"] else [])]
    options += [f"--{key.replace('_', '-')} {chosen[key]}" for key in ("max_epochs", "users", "moments") if chosen[key]]
    return provenance(f"python -m benchmarks.studies.{name} {' '.join(options)}", config.name, seconds)


def provenance(command: str, config: str, seconds: float) -> Row:
    """By which command, from which configuration, when and where something was found."""
    return {
        "command": command,
        "config": config,
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seconds": round(seconds, 1),
    }


def _commit() -> str:
    """The commit of this checkout, marked when the code differs from it."""
    git = ["git", "-C", str(HERE)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ":/*.py"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + (", changed" if changed else "")


def _processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()

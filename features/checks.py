"""Checks of the tables before anything is trained: each rule with a name, a severity, a count, and examples.

Rules are narwhals expressions and run on every engine. Nothing is repaired. What `load_tables` would refuse
is an error here: a check without errors ends with a load.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import narwhals as nw

from features.check_report import CheckReport, Example, Finding, sort_findings
from features.check_rules import (
    empty_tables,
    float_ids,
    missing_columns,
    nothing_positive,
    null_ids,
    repeated_event_ids,
    repeated_events,
    repeated_ids,
    robots,
    single_user,
    undeclared_types,
    unknown_entities,
    unseen_types,
)
from features.check_value_rules import (
    constant_columns,
    future_times,
    large_vocabularies,
    negative_values,
    outlying_values,
    unreadable_numbers,
    unreadable_times,
)
from features.dataset import DatasetConfig
from features.errors import ConfigError, TailorbirdError
from features.frames import FILE, ROW, Engine, Frame, Frames, collect, engine_errors
from features.inspection import Inspection, Remark, RuleEntry, Suspects, number_of
from features.moments import SECOND
from features.reading import open_table
from features.tables import load_tables, open_changes

EXAMPLES = 5
RULES = (
    RuleEntry("missing_column", "error", missing_columns),
    RuleEntry("empty_table", "error", empty_tables),
    RuleEntry("float_id", "error", float_ids),
    RuleEntry("null_id", "error", null_ids),
    RuleEntry("repeated_id", "error", repeated_ids),
    RuleEntry("unreadable_time", "error", unreadable_times),
    RuleEntry("future_time", "error", future_times),
    RuleEntry("unreadable_number", "error", unreadable_numbers),
    RuleEntry("undeclared_type", "error", undeclared_types),
    RuleEntry("nothing_positive", "error", nothing_positive),
    RuleEntry("unseen_type", "warning", unseen_types),
    RuleEntry("repeated_event_id", "warning", repeated_event_ids),
    RuleEntry("repeated_event", "warning", repeated_events),
    RuleEntry("unknown_id", "warning", unknown_entities),
    RuleEntry("negative_value", "warning", negative_values),
    RuleEntry("outlying_value", "warning", outlying_values),
    RuleEntry("constant_column", "warning", constant_columns),
    RuleEntry("large_vocabulary", "warning", large_vocabularies),
    RuleEntry("single_user", "error", single_user),
    RuleEntry("robot", "warning", robots),
)
"""Every rule, in the order of the report."""


def check_tables(
    dataset: DatasetConfig,
    folder: Path,
    frames: Frames | None = None,
    engine: Engine = "pandas",
    now: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
    load: bool = True,
) -> CheckReport:
    """Run every rule on the tables that a dataset section names; the arguments are those of `load_tables`.

    `now` (ms since the epoch, by default the wall clock) tells what lies in the future; `progress` is called
    with the name of each rule. Bad data raises nothing: what cannot be read at all is a finding too. `load` off
    leaves the last step out, which holds everything in memory: whoever prepares does it part by part.
    """
    findings: list[Finding] = []
    rows: dict[str, int] = {}
    try:
        opened = _open(dataset, folder, frames, engine)
        rows |= {name: number_of(frame) for name, frame in opened.items()}
        tables = Inspection(dataset, opened, round(time.time() * SECOND) if now is None else now)
        for entry in RULES:
            progress(entry.name)
            findings += _apply(entry, tables)
        if load and not any(one.severity == "error" for one in findings):
            load_tables(dataset, folder, frames, engine)
    except TailorbirdError as error:
        column = (error.field or "").removeprefix("dataset.") or None
        message = f"{error.message}. {error.hint or ''}".rstrip()
        findings.append(Finding("unreadable_table", "error", "dataset", column, 1, message))
    except engine_errors() as error:
        message = f"the {engine} engine cannot read the tables: {type(error).__name__}"
        findings.append(Finding("unreadable_table", "error", "dataset", None, 1, message))
    return CheckReport(sort_findings(findings), rows)


def _open(dataset: DatasetConfig, folder: Path, frames: Frames | None, engine: Engine) -> dict[str, Frame]:
    tables: dict[str, Frame] = {}
    for name, config in (("events", dataset.events), ("users", dataset.users), ("items", dataset.items)):
        frame = open_table(config, name, folder, engine, frames, numbered=True)
        if frame is not None:
            tables[name] = frame
    if "events" not in tables:
        raise ConfigError("no table of events is named", field="dataset.events.path", hint="Name a file or a glob.")
    for name, config in (("users", dataset.users), ("items", dataset.items)):
        changes = open_changes(config, name, folder, engine, numbered=True)
        tables |= {f"{name}.{key}": frame for key, frame in changes.items()}
    return tables


def _apply(entry: RuleEntry, tables: Inspection) -> Iterator[Finding]:
    for found in entry.rule(tables):
        if isinstance(found, Remark):
            yield _from_remark(entry, tables, found)
        elif count := number_of(found.rows):
            examples = _examples(tables, found)
            yield Finding(entry.name, entry.severity, found.table, found.column, count, found.message, examples)


def _from_remark(entry: RuleEntry, tables: Inspection, remark: Remark) -> Finding:
    examples: tuple[Example, ...] = ()
    if remark.value is not None and remark.column is not None:
        private = tables.private(remark.table, remark.column)
        examples = (Example(None, None, remark.column, remark.value, private),)
    return Finding(entry.name, entry.severity, remark.table, remark.column, remark.affected, remark.message, examples)


def _examples(tables: Inspection, found: Suspects) -> tuple[Example, ...]:
    """The first offending rows by file and row."""
    first = found.rows.select(FILE, ROW, nw.col(found.column).alias("value")).sort(FILE, ROW).head(EXAMPLES)
    private = tables.private(found.table, found.column)
    return tuple(
        Example(row[FILE], row[ROW], found.column, _text(row["value"]), private) for row in collect(first).to_pylist()
    )


def _text(value: Any) -> str:
    return "missing" if value is None else str(value)

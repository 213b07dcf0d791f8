"""What a check of tables found, for the terminal, for a file, and for a program.

User ids and people's attributes stand masked in every form, except in the terminal's when it is asked for.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from features.errors import MASK, DataError

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Example:
    """One offending value."""

    file: str | None
    row: int | None
    """From 1, without the header; None where an engine's rows have no order."""
    column: str
    value: str
    private: bool
    """Whether the value tells something of a person."""

    def shown(self, show_ids: bool = False) -> str:
        """The value, masked if it is a person's."""
        return self.value if show_ids or not self.private else MASK

    def place(self) -> str:
        """Where it stands, for people."""
        parts = [self.file or "", f"row {self.row}" if self.row is not None else "", self.column]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Finding:
    """A rule that a table breaks."""

    rule: str
    severity: Severity
    table: str
    column: str | None
    count: int
    message: str
    """What is wrong and what to do; never holds a person's data."""
    examples: tuple[Example, ...] = ()
    """Up to five."""


@dataclass(frozen=True)
class CheckReport:
    """Everything that the rules found, errors first."""

    findings: tuple[Finding, ...]
    rows: dict[str, int] = field(default_factory=dict)
    """Number of rows of each table that was read."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stops a training."""
        return tuple(one for one in self.findings if one.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What a training survives."""
        return tuple(one for one in self.findings if one.severity == "warning")

    def to_json(self) -> dict[str, Any]:
        """Plain data, private values masked."""
        return {
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "rows": self.rows,
            "findings": [_finding_json(one) for one in self.findings],
        }

    def to_markdown(self) -> str:
        """A page, private values masked."""
        counts = ", ".join(f"{name} {count:,} rows" for name, count in self.rows.items())
        lines = ["# Check of the tables", "", f"{self.summary()} Read: {counts or 'nothing'}.", ""]
        if self.findings:
            lines += [
                "| severity | rule | table | column | count | what it means |",
                "|---|---|---|---|---|---|",
            ]
        for one in self.findings:
            cells = (one.severity, one.rule, one.table, one.column or "", f"{one.count:,}", one.message)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        for one in self.findings:
            if one.examples:
                lines += ["", f"## {one.rule}: {one.table}{f'.{one.column}' if one.column else ''}", ""]
                lines += [f"- {_cell(example.place())}: `{_cell(example.shown())}`" for example in one.examples]
        return "\n".join(lines) + "\n"

    def to_table(self, show_ids: bool = False) -> str:
        """Text for the terminal; `show_ids` prints user ids and people's attributes too."""
        blocks = [self.summary()]
        for one in self.findings:
            where = f"{one.table}.{one.column}" if one.column else one.table
            blocks.append(f"{one.severity.upper():<8}{one.rule:<22}{where:<28}{one.count:>10,}  {one.message}")
            blocks += [f"{'':<8}{example.place()}: {example.shown(show_ids)}" for example in one.examples]
        return "\n".join(blocks)

    def summary(self) -> str:
        """One sentence."""
        if not self.findings:
            return "Every rule holds."
        return f"{_plural(len(self.errors), 'error')}, {_plural(len(self.warnings), 'warning')}."


def write(report: CheckReport, directory: Path) -> None:
    """Write `check.json` and `check.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    content = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
    (directory / "check.json").write_text(content + "\n", encoding="utf-8")
    (directory / "check.md").write_text(report.to_markdown(), encoding="utf-8")


def refuse_errors(report: CheckReport, directory: Path) -> None:
    """Raise DataError with the first error of a report that was written to a folder; warnings pass."""
    if not report.errors:
        return
    first = report.errors[0]
    raise DataError(
        f"{first.rule}: {first.message}" + (f" (and {more} more)" if (more := len(report.errors) - 1) else ""),
        field=f"{first.table}.{first.column}" if first.column else first.table,
        hint=f"See {directory / 'check.md'}; nothing was repaired or trained.",
    )


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings, else in the order of the rules."""
    return tuple(sorted(findings, key=lambda one: one.severity != "error"))


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "table": finding.table,
        "column": finding.column,
        "count": finding.count,
        "message": finding.message,
        "examples": [
            {"file": one.file, "row": one.row, "column": one.column, "value": one.shown()} for one in finding.examples
        ],
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("`", "'")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

"""RESULTS.md, made from results.json and peers.json alone: nobody writes a figure by hand."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.results import write_atomically
from benchmarks.serving.results import Row, read_rows

PAGE = "RESULTS.md"
NOTHING = "Nothing was measured yet; `make bench-serving` measures."
UNMEASURED = "not measured"


class Target(NamedTuple):
    """One figure of the table of targets."""

    text: str
    key: str
    published: str
    at_least: float
    aim: float
    unit: str
    less_is_better: bool = True

    def verdict(self, value: float | None) -> str:
        """What a measured value means."""
        if value is None:
            return UNMEASURED
        if self.less_is_better:
            return "aim reached" if value <= self.aim else "met" if value <= self.at_least else "**missed**"
        return "aim reached" if value >= self.aim else "met" if value >= self.at_least else "**missed**"


TARGETS = (
    Target("p50 at 100 requests/s", "recommend_p50_ms", "54 ms (27k items)", 8, 4, "ms"),
    Target("p99 at 100 requests/s", "recommend_p99_ms", "340 ms (27k items)", 30, 12, "ms"),
    Target("saturation, one service with two workers", "saturation_rps", "144 /s", 250, 500, "/s", False),
    Target("p50 over the sum of the stages measured in process", "p50_over_stages", "–", 2.0, 1.3, ""),
    Target("start to ready, page cache warm", "ready_s", "–", 10, 3, "s"),
    Target("memory of the first worker", "worker_mb", "–", 900, 600, "MB"),
    Target("memory of each further one", "extra_worker_mb", "–", 250, 120, "MB"),
    Target("bulk, users per second", "bulk_users_per_s", "–", 400, 1000, "/s", False),
    Target("upsert until recommendable, p99", "upsert_p99_s", "–", 1, 1, "s"),
    Target("failed requests during a swap", "swap_failed", "–", 0, 0, ""),
    Target("p99 during a swap over p99 before", "swap_p99_ratio", "–", 2, 2, ""),
    Target("memory after fifty swaps over that after the first", "swaps_memory_ratio", "–", 1.05, 1.05, ""),
)
RECALL = 0.98
"""Least recall@10 under a filter."""


def write_pages(folder: Path) -> None:
    """Write `folder`/RESULTS.md, or remove it when there is nothing to tell."""
    rows = read_rows(folder / "results.json")
    if not rows:
        (folder / PAGE).unlink(missing_ok=True)
        return
    write_atomically(folder / PAGE, results_page(rows, read_peers(folder / "peers.json")))


def read_peers(path: Path) -> dict[str, Any]:
    """Figures of the peers by size and name; empty when none were measured."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def results_page(rows: dict[str, Row], peers: dict[str, Any]) -> str:
    """The whole of RESULTS.md."""
    lines = [
        "# Serving, measured",
        "",
        "Written by `make bench-serving` from results.json and peers.json; not by hand.",
        "",
        "The real service with two workers, started by `tailorbird serve`, and the load generator share one machine.",
        "Requests are 90 % recommend, 5 % similar, 5 % events over 64 connections, of people with 0 to 200 events;",
        "nobody is asked twice. Fixed rates are an open loop: latency counts from the moment a request was due.",
        "",
    ]
    if not rows:
        return "\n".join([*lines, NOTHING, ""])
    for size, row in rows.items():
        lines += _section(size, row, peers.get(size, {}))
    return "\n".join(lines)


def _section(size: str, row: Row, peers: dict[str, Any]) -> list[str]:
    lines = [f"## {row.items:,} items", "", *_targets(row), ""]
    if row.filtered_recall:
        lines += ["### Filters", "", *_filters(row), ""]
    if row.rates:
        lines += ["### Rates", "", *_rates(row), ""]
    if stages := row.parts.get("latency", {}).get("stages"):
        lines += ["### Stages in process, one request at a time", "", *_stages(stages), ""]
    if overload := row.parts.get("overload"):
        lines += ["### Three times the saturation", "", *_overload(overload), ""]
    if memory := row.parts.get("memory"):
        lines += ["### Processes", "", *_processes(memory), ""]
    if peers:
        lines += ["### Peers", "", *_peers(row, peers), ""]
    return [*lines, f"### How {size} was measured", "", *_account(row), ""]


def _targets(row: Row) -> list[str]:
    values = row.model_dump()
    header = ["", "published or floor", "at least", "aim", "measured", "verdict"]
    lines = [
        [
            one.text,
            one.published,
            _with_unit(one.at_least, one.unit),
            _with_unit(one.aim, one.unit),
            _with_unit(values[one.key], one.unit),
            one.verdict(values[one.key]),
        ]
        for one in TARGETS
    ]
    return table(header, lines)


def _filters(row: Row) -> list[str]:
    costs = row.parts.get("filters", {}).get("recommend", {})
    header = ["share allowed", "recall@10", f"at least {RECALL}", "recommend p50", "p99"]
    return table(
        header,
        [
            [
                f"{float(share):.2%}",
                f"{recall:.3f}",
                "met" if recall >= RECALL else "**missed**",
                _with_unit(costs.get(share, {}).get("p50_ms"), "ms"),
                _with_unit(costs.get(share, {}).get("p99_ms"), "ms"),
            ]
            for share, recall in (row.filtered_recall or {}).items()
        ],
    )


def _rates(row: Row) -> list[str]:
    runs = {**row.rates, "100": row.parts.get("latency", {}).get("at_100", {})}
    header = ["requests/s", "p50", "p95", "p99", "answers/s", "answers by status", "shares of the workers"]
    return table(header, [_rate(rate, runs[rate]) for rate in sorted(runs, key=float)])


def _rate(rate: str, run: dict[str, Any]) -> list[str]:
    figures = run.get("by_kind", {}).get("recommend", {})
    return [
        rate,
        *(_with_unit(figures.get(name), "ms") for name in ("p50_ms", "p95_ms", "p99_ms")),
        _with_unit(run.get("rps"), ""),
        _counts(run.get("statuses", {})),
        " / ".join(f"{share:.0%}" for share in run.get("worker_shares", ())),
    ]


def _stages(stages: dict[str, dict[str, float]]) -> list[str]:
    return table(
        ["stage", "p50", "p99"],
        [[name, _with_unit(one["p50_ms"], "ms"), _with_unit(one["p99_ms"], "ms")] for name, one in stages.items()],
    )


def _overload(run: dict[str, Any]) -> list[str]:
    figures = {name: one["p99_ms"] for name, one in run.get("by_kind", {}).items() if one}
    accepted = ", ".join(f"{name} {value:,.0f} ms" for name, value in figures.items())
    refused = _with_unit(run.get("refused", {}).get("p99_ms"), "ms")
    return [
        f"{run['rate']:,.0f} requests/s for {run['seconds']:.0f} s; answers by status: {_counts(run['statuses'])}.",
        f"p99 of the accepted: {accepted or UNMEASURED}; p99 of 429: {refused};",
        f"useful answers: {run['useful_rps']:,.0f} /s, {run['useful_over_saturation']:.0%} of the saturation.",
    ]


def _processes(memory: dict[str, Any]) -> list[str]:
    header = ["workers", "ready", "proportional, MB", "private, MB", "shared, MB", "in no file, MB", "answers"]
    lines = []
    for workers, one in memory["by_workers"].items():
        columns = [" / ".join(f"{each[name]:,.0f}" for each in one["processes"]) for name in MEMORY]
        shares = " / ".join(f"{share:.0%}" for share in one["answers_by_worker"])
        lines.append([workers, _with_unit(one["ready_s"], "s"), *columns, shares])
    return table(header, lines)


MEMORY = ("pss", "private", "shared", "anonymous")


def _peers(row: Row, peers: dict[str, Any]) -> list[str]:
    ours = [row.recommend_p50_ms, row.recommend_p99_ms, row.saturation_rps]
    lines = [["tailorbird", *(_with_unit(one, unit) for one, unit in zip(ours, ("ms", "ms", "/s"), strict=True))]]
    for name, one in peers.items():
        values = (one["peer_p50_ms"], one["peer_p99_ms"], one["peer_rps"])
        lines.append([name, *(_with_unit(value, unit) for value, unit in zip(values, ("ms", "ms", "/s"), strict=True))])
    return table(["", "p50 at 100 requests/s", "p99", "saturation"], lines)


def _account(row: Row) -> list[str]:
    return [
        f"- {part}: {one.measured} UTC, commit {one.commit}, {one.hardware}; load {one.load[0]} / {one.load[1]} / "
        f"{one.load[2]} before it began; `{one.command}`."
        for part, one in row.about.items()
    ]


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first column is text, the others are figures."""
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *lines)]


def _counts(statuses: dict[str, int]) -> str:
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))


def _with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    shown = f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:,.2f}"
    return f"{shown} {unit}".strip()

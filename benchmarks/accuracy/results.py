"""The rows of results.json: one for each system on each data set, written one at a time."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmarks.accuracy.datasets import DATASETS, ROOT

SYSTEMS = (
    "tailorbird",
    "two-towers",
    "transitions",
    "markov",
    "popularity",
    "rectools-sasrec",
    "rectools-hstu",
    "implicit-als",
    "implicit-bm25",
)
"""In the order in which they are measured: a peer is given the time that `tailorbird` took."""
SOURCES = ("features", "models", "serving", "training", "configs", "requirements", "benchmarks", "tailorbird.py")
WRITTEN = (
    "benchmarks/accuracy/results.json",
    "benchmarks/accuracy/epoch_time.json",
    "benchmarks/accuracy/RESULTS.md",
    "benchmarks/serving/results.json",
    "benchmarks/serving/peers.json",
    "benchmarks/serving/device.json",
    "benchmarks/serving/RESULTS.md",
    "benchmarks/operate/results.json",
    "benchmarks/operate/RESULTS.md",
)


class Measured(BaseModel):
    """One seed of a row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    ndcg10: float
    recall10: float
    train_seconds: float
    peak_mb: float
    users: int
    users_with_list: int
    distinct_items: int
    detail: dict[str, Any] = {}
    """What this system alone tells: epochs, chosen settings, load of the machine."""


class Row(BaseModel):
    """One system on one data set; means over seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    system: str
    seeds: list[int]
    ndcg10: float
    ndcg10_sd: float | None
    recall10: float
    recall10_sd: float | None
    train_seconds: float
    peak_mb: float
    published_ndcg10: float | None
    published_recall10: float | None
    per_seed: list[Measured]
    commit: str
    measured: str
    """Date, UTC."""
    hardware: str
    config: dict[str, Any]
    data: str
    """Fingerprint of the tables, as `features.tables.fingerprint` makes it."""
    where: str
    """What ran where, and what the seconds and the memory are those of."""


def row_of(
    dataset: str,
    system: str,
    per_seed: Sequence[Measured],
    *,
    commit: str,
    config: dict[str, Any],
    data: str,
    where: str,
) -> Row:
    """The row of measured seeds."""
    published = DATASETS[dataset].published.get(system)
    ndcg, recall = [one.ndcg10 for one in per_seed], [one.recall10 for one in per_seed]
    return Row(
        dataset=dataset,
        system=system,
        seeds=[one.seed for one in per_seed],
        ndcg10=round(statistics.fmean(ndcg), 5),
        ndcg10_sd=_spread(ndcg),
        recall10=round(statistics.fmean(recall), 5),
        recall10_sd=_spread(recall),
        train_seconds=round(statistics.fmean(one.train_seconds for one in per_seed), 1),
        peak_mb=round(max(one.peak_mb for one in per_seed), 1),
        published_ndcg10=published.ndcg10 if published else None,
        published_recall10=published.recall10 if published else None,
        per_seed=list(per_seed),
        commit=commit,
        measured=f"{datetime.now(UTC):%Y-%m-%d}",
        hardware=hardware(),
        config=config,
        data=data,
        where=where,
    )


def _spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None of one seed."""
    return round(statistics.stdev(values), 5) if len(values) > 1 else None


def read_rows(path: Path) -> list[Row]:
    """All rows, in the order of the tables."""
    if not path.exists():
        return []
    rows = [Row.model_validate(one) for one in json.loads(path.read_text(encoding="utf-8"))]
    return sorted(rows, key=lambda row: (list(DATASETS).index(row.dataset), SYSTEMS.index(row.system)))


def put_row(path: Path, row: Row) -> list[Row]:
    """Write a row, in place of one of the same system and data set; returns all rows."""
    others = [one for one in read_rows(path) if (one.dataset, one.system) != (row.dataset, row.system)]
    content = [one.model_dump(mode="json") for one in [*others, row]]
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return read_rows(path)


def write_atomically(path: Path, text: str) -> None:
    """The whole text or what was there before, whenever the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(path.name + ".new")
    staging.write_text(text, encoding="utf-8")
    staging.replace(path)


def commit() -> str:
    """The checkout's commit, with a mark when sources differ from it."""
    head = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--", *SOURCES, *(f":!{name}" for name in WRITTEN))
    return f"{head or 'unknown'}{' with changes' if changed else ''}"


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip()


def hardware() -> str:
    """Processor, cores, threads given to a process, and memory."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"{_processor()}, {cores} cores, {threads} threads a process, {memory:.0f} GiB"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

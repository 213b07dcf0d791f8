"""How long an engine takes to prepare events for training, and how much memory: `make bench-operate STUDY=prepare`.

The log is written in chunks first, which is not timed. Each engine then runs in a process of its own, as
`tailorbird prepare` does, on two cores; memory is that of the process and of all that it starts.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml

from benchmarks.accuracy.datasets import ROOT
from benchmarks.operate.crowd import write_log
from benchmarks.operate.memory import peak_of
from benchmarks.operate.results import HERE, Row, about_now, put
from features.dataset import DatasetConfig

CORES = 2
TARGETS = {("polars", 25_000_000): (60.0, 4.0)}
"""Seconds and GB that were asked for, by engine and events."""


def measure(config: Path, check: bool) -> dict[str, Any]:
    """Prepare what a configuration names; seconds of the whole command with its start, and GB at the most."""
    command = [sys.executable, str(ROOT / "tailorbird.py"), "prepare", "--config", str(config)]
    command += [] if check else ["--no-check"]
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    environment = {**os.environ, "POLARS_MAX_THREADS": str(CORES), "PYTHONPATH": str(ROOT)}
    begun, used = time.monotonic(), _processor_seconds()
    command = ["taskset", "-c", ",".join(map(str, cores)), *command]
    with subprocess.Popen(command, env=environment) as running, peak_of(running.pid) as peak:
        status = running.wait()
    if status:
        raise click.ClickException(f"prepare ended with status {status}")
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "processor, s": round(_processor_seconds() - used, 1),
        "peak, GB": round(peak.bytes / 1e9, 2),
    }


def _processor_seconds() -> float:
    """Of every process that was started and has ended: what a busy machine does not stretch."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def config_of(dataset: DatasetConfig, folder: Path, engine: str, master: str | None) -> Path:
    """A configuration that reads the log with an engine."""
    tables = {"engine": engine, "prepared": f"prepared-{engine}", "spark_master": master}
    sections = {"dataset": dataset.model_dump(mode="json", by_alias=True, exclude_defaults=True), "tables": tables}
    path = folder / f"{engine}.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
    return path


def row_of(engine: str, wanted: int, check: bool, prepared: Path, found: dict[str, Any], **about: Any) -> Row:
    """One engine's run as a row of the page."""
    parts = json.loads((prepared / "_prepared.json").read_text(encoding="utf-8"))["parts"]
    events, users = (sum(one[name] for one in parts) for name in ("events", "users"))
    seconds, gigabytes = TARGETS.get((engine, wanted), (None, None))
    held = None if seconds is None else found["seconds"] <= seconds and found["peak, GB"] <= gigabytes
    return Row(
        study="prepare",
        name=f"{engine}, {wanted:,} events{', checked' if check else ''}",
        figures={
            "events": events,
            "users": users,
            "parts": len(parts),
            **found,
            "events/s": round(events / found["seconds"]),
        },
        target="" if seconds is None else f"≤ {seconds:g} s and ≤ {gigabytes:g} GB on {CORES} cores",
        met=held,
        **about,
    )


@click.command()
@click.option("--events", default=1_000_000, show_default=True, help="About how many events.")
@click.option("--engine", "engines", multiple=True, default=["polars"], show_default=True, help="May be repeated.")
@click.option("--check/--no-check", default=False, show_default=True, help="Hold the tables against every rule too.")
@click.option("--master", default="local[2]", show_default=True, help="Of Spark.")
@click.option("--folder", default="var/bench/prepare", show_default=True, type=click.Path(path_type=Path))
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of results.json and RESULTS.md.")
@click.option("--note", default="", help="What else is to be known of the machine while it measured.")
def main(
    events: int, engines: tuple[str, ...], check: bool, master: str, folder: Path, results: Path, note: str
) -> None:
    """Measure, and write a row for each engine."""
    about = about_now("benchmarks.operate.prepare", note)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        dataset = write_log(folder, events)
        for engine in engines:
            config = config_of(dataset, folder, engine, master if engine == "spark" else None)
            found = measure(config, check)
            row = row_of(engine, events, check, folder / f"prepared-{engine}", found, about=about)
            put(row, results)
            click.echo(f"{row.name}: {row.figures}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

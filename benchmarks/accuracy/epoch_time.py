"""`make bench-epoch`: seconds per epoch of our two towers and of RecTools SASRec, one after the other, here and now.

Ours is the mean of epochs 2 and 3 in the data set's own configuration; theirs is one epoch at the same width, depth and
heads, and at the length of the published comparison, which is never longer than ours. An epoch of theirs goes through
the newest events of each user, as many as that length and the one to be foretold; ours is timed on just these, and on
all events, which is what it goes through in a training. Each runs in a
process of its own with the same number of threads; memory is the peak of that process.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy import speed_page
from benchmarks.accuracy.datasets import DATASETS, ROOT, DataSet, write_config
from benchmarks.accuracy.environments import clean_environment, of_peers
from benchmarks.accuracy.measured import BenchmarkError, Measure, run_measured
from benchmarks.accuracy.rendering import write_pages
from benchmarks.accuracy.results import commit, hardware, write_atomically
from features.strict import read_yaml
from training.config import TrainingConfig, read_training_config

HERE = Path(__file__).resolve().parent
PEER = HERE / "peers" / "sequence_model.py"


@click.command()
@click.option("--datasets", "names", default=",".join(DATASETS), show_default=True, help="With commas.")
@click.option("--folder", default=ROOT / "var" / "bench" / "epochs", type=click.Path(path_type=Path), help="Logs.")
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of epoch_time.json.")
@click.option("--settings", type=click.Path(path_type=Path), help="YAML laid over the configuration, for a trial.")
def main(names: str, folder: Path, results: Path, settings: Path | None) -> None:
    """Time epochs, and write each data set's figures as soon as they are there."""
    if settings is not None and results.resolve() == HERE:
        raise click.ClickException("a trial with other settings needs --results of its own")
    over = read_yaml(settings) if settings else {}
    for name in names.split(","):
        try:
            found = compared(DATASETS[name], over, folder.resolve() / name)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from None
        known = {**(speed_page.read(results) or {}), name: found}
        write_atomically(results / speed_page.NAME, json.dumps(known, indent=1) + "\n")
        write_pages(results)
        ours, theirs = found["ours"]["epoch_seconds"], found["rectools"]["epoch_seconds"]
        click.echo(f"{name}: {ours} s an epoch, RecTools {theirs} s, ratio {found['ratio']}")
        click.echo(f"{name}: on the same events {found['same_events']}, ratio {found['ratio_same_events']}")


def compared(dataset: DataSet, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Both sides on one data set."""
    write_config(dataset, 0, settings, folder / "config.yaml")
    config, _ = read_training_config(folder / "config.yaml")
    ours = _ours(folder / "ours", folder / "config.yaml")
    theirs = _theirs(dataset, config, folder / "rectools")
    newest = theirs["shape"]["length"] + 1
    same = _ours(folder / "same_events", folder / "config.yaml", newest)
    return {
        "ours": ours,
        "same_events": {"newest": newest, **{key: same[key] for key in ("epoch_seconds", "targets")}},
        "rectools": theirs,
        "ratio": round(ours["epoch_seconds"] / theirs["epoch_seconds"], 4),
        "ratio_same_events": round(same["epoch_seconds"] / theirs["epoch_seconds"], 4),
        "rate_float32": ours.pop("rate_float32"),
        "rate_bfloat16": ours.pop("rate_bfloat16"),
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit(),
        "hardware": hardware(),
    }


def _ours(folder: Path, config: Path, newest: int | None = None) -> dict[str, Any]:
    command: list[str | Path] = ["-m", "benchmarks.accuracy.own_epochs", config, folder]
    command += [] if newest is None else [str(newest)]
    measure = _run([sys.executable, *command], folder)
    return {**_told(folder), "peak_mb": measure.peak_mb, "load": measure.load}


def _theirs(dataset: DataSet, config: TrainingConfig, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    towers = config.towers
    shape = {
        "dim": towers.embedding_dim,
        "blocks": towers.blocks,
        "heads": towers.heads,
        "dropout": towers.dropout,
        "length": min(config.pipeline.max_events, int(dataset.sequence_model["length"])),
    }
    asked = {
        "system": "rectools-sasrec",
        "train": str(dataset.train),
        "holdout": str(dataset.holdout),
        "output": str(folder),
        "seed": 0,
        "k": 10,
        "budget_seconds": 0,
        "shape": shape,
        "epochs": 1,
    }
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    measure = _run([of_peers(), PEER, folder / "asked.json"], folder)
    told = _told(folder)
    return {
        "epoch_seconds": told["detail"]["epoch_seconds"][0],
        "loss": f"{told['loss']}, {told['negatives']} negatives a position",
        "shape": shape,
        "peak_mb": measure.peak_mb,
        "load": measure.load,
    }


def _run(command: list[str | Path], folder: Path) -> Measure:
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "measure.json"
    record.unlink(missing_ok=True)
    return run_measured(command, folder / "log.txt", record, cwd=ROOT, environment=clean_environment(), commit=commit())


def _told(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    return told


if __name__ == "__main__":
    main()

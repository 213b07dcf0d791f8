"""Our own trainings: one `tailorbird train` process for each data set and seed, in a folder that it can go on in."""

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.accuracy.datasets import ROOT, DataSet, write_config
from benchmarks.accuracy.environments import clean_environment
from benchmarks.accuracy.measured import Measure, run_measured
from benchmarks.accuracy.results import commit


class Training(NamedTuple):
    """A finished training, where it lies and what it took."""

    seed: int
    folder: Path
    measure: Measure

    @property
    def config(self) -> Path:
        """What was asked."""
        return self.folder / "config.yaml"

    @property
    def run(self) -> Path:
        """The run folder of `tailorbird train`."""
        return self.folder / "run"

    @property
    def bundle(self) -> Path:
        return self.run / "bundle"

    @property
    def claim(self) -> dict[str, Any]:
        """The whole configuration and the fingerprint of the data, as the training wrote them."""
        content: dict[str, Any] = json.loads((self.run / "run.json").read_text(encoding="utf-8"))
        return content

    @property
    def settings(self) -> dict[str, Any]:
        """The sections of the configuration that say how to train: neither data nor seed."""
        config = self.claim["config"]
        return {name: value for name, value in config.items() if name not in ("dataset", "seed")}

    def fits(self) -> list[dict[str, float]]:
        """Epochs and seconds of the towers' fits, the first and the last one, as far as the run folder tells."""
        logs = [self.run / "checkpoints" / name / "metrics.csv" for name in ("first", "final")]
        return [_last_epoch(log) for log in logs if log.exists()]


def trained(dataset: DataSet, seed: int, settings: dict[str, Any], folder: Path, *, fresh: bool = False) -> Training:
    """Train, or go on with a training that was broken off, or find a finished one."""
    place = folder / dataset.name / f"seed-{seed}"
    if fresh and place.exists():
        shutil.rmtree(place)
    write_config(dataset, seed, settings, place / "config.yaml")
    training = Training(seed, place, Measure.read(place / "measure.json"))
    if training.measure.done and _same(training):
        return training
    command: list[str | Path] = [
        sys.executable,
        ROOT / "tailorbird.py",
        "train",
        "--config",
        training.config,
        "--run",
        training.run,
    ]
    measure = run_measured(
        command, place / "log.txt", place / "measure.json", cwd=ROOT, environment=clean_environment(), commit=commit()
    )
    shutil.copy(training.config, place / "trained.yaml")
    return training._replace(measure=measure)


def _same(training: Training) -> bool:
    """Whether what was trained is what is asked now; if not, `tailorbird train` says so and refuses."""
    before = training.folder / "trained.yaml"
    return before.exists() and yaml.safe_load(before.read_text()) == yaml.safe_load(training.config.read_text())


def _last_epoch(log: Path) -> dict[str, float]:
    """Number of the last epoch of a fit, and the seconds to its end."""
    with log.open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    return {name: float(last[name]) for name in ("epoch", "seconds")}

"""What holds for every test: BentoML stays at home, hypothesis is repeatable, and CI has no silent skip.

A test that is marked `gpu` or `spark` skips in the test or a fixture, never at import, where pytest does not yet
know its marks.
"""

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest
import torch
import yaml
from filelock import FileLock

from features.events import Tables
from features.tables import load_tables
from tests.skips import IN_CI, refuse_skips_in_ci
from training.config import TrainingConfig, read_training_config
from training.run import train
from training.simulator import SimulatorSettings, simulate

if IN_CI:
    hypothesis.settings.register_profile("tailorbird", deadline=None, derandomize=True, database=None)
else:
    hypothesis.settings.register_profile("tailorbird", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("tailorbird")
    refuse_skips_in_ci(config)
    home = tempfile.TemporaryDirectory(prefix="tailorbird-bentoml-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    os.environ["BENTOML_HOME"] = home.name
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    # Models this small gain nothing from a second thread, and lose much when the other core is busy.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One file has the small world trained; the others that need it come last, so that no process waits for it."""
    need = dict.fromkeys(item.path for item in items if "trained" in getattr(item, "fixturenames", ()))
    first = next(iter(need), None)
    items.sort(key=lambda item: item.path != first and 1 + (item.path in need))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("spark") and importlib.util.find_spec("pyspark") is None:
        pytest.skip("PySpark is not installed: `make test-spark` does that")


SMALL = {
    "workers": 1,
    "pipeline": {"max_events": 20, "sources": {"nearest": 30, "transitions": 30, "popular": 10, "trending": 10}},
    "towers": {"embedding_dim": 16, "blocks": 1, "heads": 1},
    "tower_fit": {"max_epochs": 2, "learning_rate": 0.003},
    "ranker": {"hidden_dim": 16, "layers": 1},
    "ranker_fit": {"max_examples": 300, "epochs": 2},
    "evaluation": {"max_moments": 200},
    "fairness": {"counterfactual_moments": 30},
}
"""Sections of a configuration that trains in seconds; what it learns is not judged by these tests."""


class Trained(NamedTuple):
    """A small simulated world and what one training made of it."""

    config: TrainingConfig
    config_path: Path
    tables: Tables
    run: Path
    bundle: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained once for the whole session and all its processes; tests copy what they change."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "world"
    path, run = folder / "config.yaml", folder / "run"
    with FileLock(folder.with_suffix(".lock")):
        if not (run / "bundle").exists():
            train_small(folder)
    config, base = read_training_config(path)
    return Trained(config, path, load_tables(config.dataset, base), run, run / "bundle")


def train_small(folder: Path) -> None:
    """Simulate a small world and train on it."""
    settings = SimulatorSettings.parse(
        {"events": 8_000, "users": 160, "items": 120, "seed": 5, "end": "2026-06-01T12:00:00Z"}
    )
    path = simulate(settings, folder)
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(SMALL), encoding="utf-8")
    config, base = read_training_config(path)
    train(config, base, folder / "run")

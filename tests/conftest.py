"""What holds for every test: BentoML stays at home, hypothesis is repeatable, and CI has no silent skip.

With `CI=true` a skipped test fails the run, unless it is marked `gpu` or `spark`: what a machine cannot test
is then said aloud instead of passing as green. A test marked so skips in the test or a fixture, never at
import, where pytest does not yet know its marks.
"""

import importlib.util
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import torch
import yaml

from features.events import Tables
from features.tables import load_tables
from training.config import TrainingConfig, read_training_config
from training.run import train
from training.simulator import SimulatorSettings, simulate

IN_CI = os.environ.get("CI") == "true"
MAY_SKIP = ("gpu", "spark")
SKIPPED = pytest.StashKey[list[str]]()

if IN_CI:
    hypothesis.settings.register_profile("tailorbird", deadline=None, derandomize=True, database=None)
else:
    hypothesis.settings.register_profile("tailorbird", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("tailorbird")
    config.stash[SKIPPED] = []
    home = tempfile.TemporaryDirectory(prefix="tailorbird-bentoml-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    os.environ["BENTOML_HOME"] = home.name
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    # Models this small gain nothing from a second thread, and lose much when the other core is busy.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("spark") and importlib.util.find_spec("pyspark") is None:
        pytest.skip("PySpark is not installed: `make test-spark` does that")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    expected = hasattr(report, "wasxfail") or any(item.get_closest_marker(mark) for mark in MAY_SKIP)
    if report.skipped and not expected:
        item.config.stash[SKIPPED].append(f"{item.nodeid}: {_reason(report.longrepr)}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        collector.config.stash[SKIPPED].append(f"{collector.nodeid}: {_reason(report.longrepr)}")
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if IN_CI and passed and session.config.stash[SKIPPED]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if IN_CI and config.stash[SKIPPED]:
        terminalreporter.section("skipped, which CI does not allow", red=True)
        for line in config.stash[SKIPPED]:
            terminalreporter.write_line(line)


def _reason(longrepr: Any) -> str:
    """The reason of a skip, which pytest keeps as (path, line, reason)."""
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


SMALL = {
    "workers": 1,
    "pipeline": {"max_events": 20, "sources": {"nearest": 30, "transitions": 30, "popular": 10, "trending": 10}},
    "towers": {"embedding_dim": 16, "blocks": 1, "heads": 1},
    "tower_fit": {"max_epochs": 2, "learning_rate": 0.003},
    "ranker": {"hidden_dim": 16, "layers": 1},
    "ranker_fit": {"max_examples": 300, "epochs": 2},
    "evaluation": {"max_moments": 200},
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
    """Trained once for the whole session; tests copy what they change."""
    folder = tmp_path_factory.mktemp("world")
    settings = SimulatorSettings.parse(
        {"events": 8_000, "users": 160, "items": 120, "seed": 5, "end": "2026-06-01T12:00:00Z"}
    )
    path = simulate(settings, folder)
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(SMALL), encoding="utf-8")
    config, base = read_training_config(path)
    bundle = train(config, base, folder / "run")
    return Trained(config, path, load_tables(config.dataset, base), folder / "run", bundle)

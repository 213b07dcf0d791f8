"""What holds for every test: BentoML stays at home, hypothesis is repeatable, and CI has no silent skip.

With `CI=true` a skipped test fails the run, unless it is marked `gpu` or `spark`: what a machine cannot test
is then said aloud instead of passing as green. A test marked so skips in the test or a fixture, never at
import, where pytest does not yet know its marks.
"""

import os
import tempfile
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

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

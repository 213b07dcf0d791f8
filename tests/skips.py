"""With `CI=true` a skipped test fails the run, unless it is marked `gpu` or `spark`.

What a machine cannot test is then said aloud instead of passing as green. A file of its own, so that a pytest within
a test loads nothing else.
"""

import os
from typing import Any

import pytest

IN_CI = os.environ.get("CI") == "true"
MAY_SKIP = ("gpu", "spark")


def refuse_skips_in_ci(config: pytest.Config) -> None:
    """Watch the reports of a run. Of several processes, the one that started the others hears them all and decides."""
    config.pluginmanager.register(Skips(), "skips")


class Skips:
    """Collects what was skipped, where the reports of all processes come together, and fails the run for it."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        expected = hasattr(report, "wasxfail") or any(mark in report.keywords for mark in MAY_SKIP)
        if report.skipped and not expected:
            self.found.append(f"{report.nodeid}: {_reason(report.longrepr)}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        line = f"{report.nodeid}: {_reason(report.longrepr)}"
        if report.skipped and line not in self.found:  # every process collects everything
            self.found.append(line)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if IN_CI and passed and self.found:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if IN_CI and self.found:
            terminalreporter.section("skipped, which CI does not allow", red=True)
            for line in self.found:
                terminalreporter.write_line(line)


def _reason(longrepr: Any) -> str:
    """The reason of a skip, which pytest keeps as (path, line, reason)."""
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)

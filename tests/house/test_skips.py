"""In CI a skip fails the run and is named; a machine without GPU or Spark is no reason to fail."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.skips import refuse_skips_in_ci
def pytest_configure(config): refuse_skips_in_ci(config)
"""
"""What the real one does of this; it loads PyTorch too, in each of the processes."""
MARKERS = "[pytest]\nmarkers =\n    gpu: needs an accelerator\n    spark: needs PySpark\n"

SKIPS = """
import pytest
def test_runs(): pass
def test_gives_up(): pytest.skip("no weather")
@pytest.mark.skip(reason="too windy")
def test_never_begins(): pass
"""
SKIPS_AT_IMPORT = "import pytest\npytest.skip('no daylight', allow_module_level=True)"
ALLOWED = """
import pytest
def test_runs(): pass
@pytest.mark.gpu
def test_gpu(): pytest.skip("none here")
@pytest.mark.spark
def test_spark(): pytest.skip("none here")
@pytest.mark.xfail
def test_known_to_fail(): assert False
"""


def run(pytester: pytest.Pytester, source: str, processes: int = 0) -> pytest.RunResult:
    pytester.makeconftest(CONFTEST)
    pytester.makeini(MARKERS)
    pytester.makepyfile(test_inner=source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        return pytester.runpytest_subprocess("-p", "xdist", "-p", "no:cacheprovider", "-n", str(processes))


def test_this_run_is_watched(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("skips")


@pytest.mark.parametrize(
    ("source", "reasons", "processes"),
    [(SKIPS, ["no weather", "too windy"], 2), (SKIPS_AT_IMPORT, ["no daylight"], 0)],
    ids=["in one of two processes", "at import"],
)
def test_a_skip_fails_in_ci_with_its_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, reasons: list[str], processes: int
) -> None:
    monkeypatch.setenv("CI", "true")
    result = run(pytester, source, processes)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*which CI does not allow*", *(f"test_inner.py*: *{reason}" for reason in reasons)])


def test_ci_allows_what_a_machine_may_lack(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert run(pytester, ALLOWED).ret == pytest.ExitCode.OK


def test_at_a_desk_a_skip_is_only_a_skip(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert run(pytester, SKIPS).ret == pytest.ExitCode.OK

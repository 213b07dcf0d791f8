"""Series of bundles that answer no more do not pile up: in one process, and in the files of several."""

import os
import subprocess
import sys
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import BUNDLES
from serving.telemetry.bundle_series import FORMER, BundleSeries

SWAPS = 50
ROOT = Path(__file__).parents[2]
WORKER = f"""
import sys
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from serving.metrics import ANSWERS, BUNDLES, EVENTS, INPUT_REFERENCE, STAGE_SECONDS

for number in range({SWAPS}):
    name = f"b{{number}}"
    BUNDLES.in_use([name])
    ANSWERS.labels("recommend", name).inc(number)
    STAGE_SECONDS.labels("rank", name).observe(0.001)
    INPUT_REFERENCE.labels("context hour", "0", name).set(0.5)
    EVENTS.labels("stored").inc()
if sys.argv[1:]:
    BUNDLES.in_use(["b0"])
    ANSWERS.labels("recommend", "b0").inc(7)
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""
NEWEST = [f"b{number}" for number in range(SWAPS - 1 - FORMER, SWAPS)]


def bundles_told(text: str) -> dict[str, float]:
    """Answers by bundle, after all series were looked at: each names only bundles that answers name, too."""
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    answers = {one.labels["bundle"]: one.value for one in samples if one.name.endswith("answers_total")}
    assert {one.labels["bundle"] for one in samples if "bundle" in one.labels} == set(answers)
    return answers


def test_after_fifty_swaps_the_newest_and_the_last_few_before_are_told() -> None:
    registry = CollectorRegistry()
    answers = Counter("answers", "-", ["route", "bundle"], registry=registry)
    stages = Histogram("stages", "-", ["bundle"], registry=registry)
    shares = Gauge("shares", "-", ["bundle"], registry=registry)
    events = Counter("events", "-", ["status"], registry=registry)
    events.labels("stored").inc()
    series = BundleSeries([answers, stages, shares, events], None)
    for number in range(SWAPS):
        name = f"b{number}"
        answers.labels("rank", name).inc(number)
        stages.labels(name).observe(1)
        shares.labels(name).set(1)
        series.in_use([name])
    text = prometheus_client.generate_latest(registry).decode()
    assert bundles_told(text) == {name: float(name[1:]) for name in NEWEST}
    assert 'events_total{status="stored"} 1.0' in text
    assert len(answers._metrics) == len(stages._metrics) == FORMER + 1, "nothing of them is left in memory"


def test_what_is_in_use_stays_however_old_and_what_left_last_is_former_first() -> None:
    registry = CollectorRegistry()
    answers = Counter("answers", "-", ["bundle"], registry=registry)
    series = BundleSeries([answers], None)

    def told() -> set[str]:
        return set(bundles_told(prometheus_client.generate_latest(registry).decode()))

    for name in ("live", "shadow"):
        answers.labels(name).inc()
    for number in range(SWAPS):
        answers.labels(f"canary{number}").inc()
        series.in_use(["live", f"canary{number}"])
    assert {"live", f"canary{SWAPS - 1}", f"canary{SWAPS - 1 - FORMER}"} <= told()
    series.in_use(["live"], left=["shadow"])
    assert {"live", "shadow"} <= told()
    assert len(told() - {"live"}) == FORMER


def test_every_metric_that_names_a_bundle_is_looked_after() -> None:
    found = [
        one for one in vars(sys.modules["serving.metrics"]).values() if "bundle" in getattr(one, "_labelnames", ())
    ]
    assert found
    assert BUNDLES._metrics == found


@pytest.mark.parametrize("back", [False, True], ids=["forwards", "and back"])
def test_files_of_several_processes_are_bounded_too(tmp_path: Path, back: bool) -> None:
    """Another worker's counts are added; a bundle that comes back counts from 0, as after a restart."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", WORKER, *(["back"] if back else [])]
    for workers in (1, 2):
        text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
        expected = {name: workers * float(name[1:]) for name in NEWEST}
        if back:
            expected = {**{name: expected[name] for name in NEWEST[1:]}, "b0": workers * 7.0}
        assert {name: value for name, value in bundles_told_of(text).items() if value} == expected
        assert f'tailorbird_events_total{{status="stored"}} {workers * SWAPS}.0' in text
    kinds, slots = 3, FORMER + 2
    assert len(list(tmp_path.glob("*-*.db"))) <= 2 * kinds * slots


def bundles_told_of(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    samples = [one for family in families for one in family.samples if "bundle" in one.labels]
    assert len({one.labels["bundle"] for one in samples}) <= FORMER + 2
    return {one.labels["bundle"]: one.value for one in samples if one.name == "tailorbird_answers_total"}

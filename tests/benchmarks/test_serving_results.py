"""Figures of the serving benchmark: how they are made of samples, written down, and told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click import ClickException
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving.__main__ import HERE, PARTS, chosen, measured
from benchmarks.serving.crowd import Crowd
from benchmarks.serving.generator import Outcome
from benchmarks.serving.plan import NotYetError, Plan, require_field, require_route
from benchmarks.serving.rendering import TARGETS, Target, read_peers, results_page, write_pages
from benchmarks.serving.results import About, put_part, read_rows
from benchmarks.serving.samples import Sample, percentile, told
from benchmarks.serving.servers import memory_of, processes, running
from benchmarks.serving.swap import failures

ABOUT = About(measured="2026-11-22 12:00", commit="abc", hardware="two cores", load=(0.1, 0.2, 0.3), command="python")


def sample(milliseconds: float, status: int = 200, kind: str = "recommend", worker: str = "a") -> Sample:
    return Sample(kind, 1.0, 1.0, 1.0 + milliseconds / 1000, status, worker, "b", short=False, degraded=False)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(one <= found for one in values) >= len(values) * percent / 100 - 1e-9
    below = [one for one in values if one < found]
    assert not below or len(below) < len(values) * percent / 100 + 1e-9


def test_percentiles_of_a_hundred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    for wrong in (([], 50.0), ([1.0], 101.0)):
        with pytest.raises(ValueError, match="% point of"):
            percentile(*wrong)


def test_latency_is_of_the_answered_and_the_refused_stand_apart() -> None:
    samples = [
        sample(10),
        sample(20),
        sample(5, kind="similar", worker="b"),
        sample(1, status=429),
        sample(9000, status=0),
    ]
    figures = told(samples, 2.0)
    assert figures["rps"] == 1.5
    assert figures["statuses"] == {"200": 3, "429": 1, "broken": 1}
    assert figures["by_kind"]["recommend"]["p99_ms"] == 20
    assert figures["refused"]["p50_ms"] == 1
    assert figures["worker_shares"] == [0.8, 0.2]


def test_a_run_without_any_answer_is_no_measurement() -> None:
    with pytest.raises(BenchmarkError, match="no answer at all"):
        Outcome([sample(1, status=0)], 1.0, 0.0, 0.1).told()
    assert "note" in Outcome([sample(1)], 1.0, 0.0, 0.9).told()
    assert "note" not in Outcome([sample(1)], 1.0, 0.0, 0.2).told()


def test_parts_are_written_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    put_part(
        path, "1m", 1_000_000, "latency", {"recommend_p50_ms": 3.5, "rates": {"50": {}}, "floor": {"p50_ms": 1}}, ABOUT
    )
    put_part(path, "1m", 1_000_000, "saturation", {"saturation_rps": 300.0}, ABOUT)
    put_part(path, "27k", 27_000, "saturation", {"saturation_rps": 400.0}, ABOUT)
    put_part(path, "1m", 1_000_000, "saturation", {"saturation_rps": 310.0}, ABOUT)
    rows = read_rows(path)
    assert list(rows) == ["27k", "1m"]
    assert (rows["1m"].recommend_p50_ms, rows["1m"].saturation_rps) == (3.5, 310.0)
    assert rows["1m"].parts == {"latency": {"floor": {"p50_ms": 1}}}
    assert set(rows["1m"].about) == {"latency", "saturation"}
    assert "worker_mb" not in json.loads(path.read_text(encoding="utf-8"))["1m"]


def test_the_page_tells_targets_misses_and_what_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    put_part(path, "1m", 1_000_000, "latency", {"recommend_p50_ms": 3.5, "recommend_p99_ms": 29.0}, ABOUT)
    put_part(path, "1m", 1_000_000, "saturation", {"saturation_rps": 100.0}, ABOUT)
    put_part(path, "1m", 1_000_000, "filters", {"filtered_recall": {"0.5": 0.99, "0.0001": 0.5}}, ABOUT)
    write_pages(tmp_path)
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert page == results_page(read_rows(path), {})
    lines = {line.split(" | ")[0].strip("| "): line for line in page.splitlines() if line.startswith("| ")}
    assert lines["p50 at 100 requests/s"].endswith("| 3.50 ms | aim reached |")
    assert lines["p99 at 100 requests/s"].endswith("| 29 ms | met |")
    assert lines["saturation, one service with two workers"].endswith("| 100 /s | **missed** |")
    assert lines["memory of the first worker"].endswith("| – | not measured |")
    assert "met" in lines["50.00%"]
    assert "**missed**" in lines["0.01%"]
    assert "load 0.1 / 0.2 / 0.3" in page


def test_without_results_there_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "RESULTS.md").write_text("old", encoding="utf-8")
    write_pages(tmp_path)
    assert not (tmp_path / "RESULTS.md").exists()


def test_the_committed_page_tells_what_was_measured() -> None:
    rows, page = read_rows(HERE / "results.json"), HERE / "RESULTS.md"
    told = page.read_text(encoding="utf-8") if page.exists() else None
    expected = results_page(rows, read_peers(HERE / "peers.json")) if rows else None
    assert told == expected, "run `python -m benchmarks.serving --render`"


def test_what_failed_in_a_swap_is_told_by_phase_and_cause() -> None:
    def refused(due: float, kind: str = "recommend") -> Sample:
        return sample(1, 429, kind)._replace(due=due, done=due + 0.01, error="overloaded")

    told = failures([sample(5), refused(1.0), refused(4.5), refused(5.0), refused(9.0, "similar")], 4.0, _during)
    assert [(one["phase"], one["kind"], one["status"], one["error"], one["requests"]) for one in told] == [
        ("after", "similar", 429, "overloaded", 1),
        ("before", "recommend", 429, "overloaded", 1),
        ("during", "recommend", 429, "overloaded", 2),
    ]
    assert told[2]["seconds_after_the_first_swap_began"] == [0.5, 1.0]


def _during(one: Sample) -> bool:
    return 4.0 <= one.due <= 6.0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.key)
def test_a_target_is_judged_in_its_own_direction(target: Target) -> None:
    better, worse = (-0.1, 0.1) if target.less_is_better else (0.1, -0.1)
    assert target.verdict(target.aim + better) == "aim reached"
    assert target.verdict(target.at_least + worse) == "**missed**"
    assert target.verdict(None) == "not measured"


def test_names_of_parts_are_checked() -> None:
    assert chosen("--part", "latency, bulk", PARTS) == ["latency", "bulk"]
    with pytest.raises(ClickException, match="there is no speed; there is latency, saturation"):
        chosen("--part", "latency,speed", PARTS)


class Described:
    """A service that tells of one route with one field."""

    def schema(self) -> dict[str, object]:
        body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}}}
        schemas: dict[str, object] = {"Asked": {"properties": {"k": {}}}}
        return {"paths": {"/v1/similar": {"post": {"requestBody": body}}}, "components": {"schemas": schemas}}


def test_what_the_product_cannot_do_is_said_in_a_line() -> None:
    service = Described()
    require_field(service, "/v1/similar", "k")  # type: ignore[arg-type]
    with pytest.raises(NotYetError, match="no /v1/items yet"):
        require_route(service, "/v1/items")  # type: ignore[arg-type]
    with pytest.raises(NotYetError, match="requests to /v1/similar have no field 'filter' yet"):
        require_field(service, "/v1/similar", "filter")  # type: ignore[arg-type]


def plan_in(folder: Path) -> Plan:
    return Plan("27k", 27_000, folder, folder / "bundle", "sqlite://:memory:", ["i0"], Crowd(10), 1.0)


def test_a_refused_part_leaves_the_results_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Plan) -> dict[str, object]:
        raise NotYetError("the service has no /v1/items yet")

    monkeypatch.setattr("benchmarks.serving.freshness.measure_upsert", refuse)
    assert not measured(plan_in(tmp_path), "upsert", tmp_path)
    assert "27k upsert: not measured, the service has no /v1/items yet" in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()


def test_overload_needs_the_saturation_first(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="measure --part saturation first"):
        measured(plan_in(tmp_path), "overload", tmp_path)


def test_memory_is_that_of_the_processes_that_run() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        held = memory_of(child.pid)
        assert 1 < held.private <= held.pss + 0.2
        assert held.anonymous <= held.pss
        assert processes(child.pid) == {child.pid: "other"}
        child.kill()


def test_a_service_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no bundle here')"]
    with pytest.raises(BenchmarkError, match=r"ended with 1:\nno bundle here"), running(command, "/", tmp_path / "log"):
        pass

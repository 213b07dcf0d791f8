"""The growth curve: exponents, what is carried on, and a section that is replaced and nothing else of its page."""

import json
import math
from pathlib import Path

import polars as pl
import pytest
import yaml

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.operate.curve import Curve, curves, section, write_curve
from benchmarks.operate.event_files import A_FILE, write_events
from benchmarks.operate.processes import family_mb, measured_apart, resident_mb, run
from benchmarks.operate.results import About, Row, put
from benchmarks.operate.scaling_page import DOCS, fill

ABOUT = About(command="c", measured="m", commit="0", hardware="h", load=[0.0])


def row(of: str, size: int, **figures: float) -> Row:
    return Row(study="growth", name=f"{size} {of}", figures={of: size, **figures}, about=ABOUT)


def test_a_figure_is_carried_on_by_the_exponent_between_the_two_largest() -> None:
    linear = Curve("items", "answer p50, ms", (10, 100, 1_000), (9.0, 10.0, 100.0))
    assert linear.exponent == pytest.approx(1.0)
    assert linear.at(100_000) == pytest.approx(10_000)
    root = Curve("items", "answer p50, ms", (100, 10_000), (1.0, 10.0))
    assert root.at(1_000_000) == pytest.approx(100)
    assert math.isnan(Curve("items", "own, MB", (10,), (1.0,)).exponent)
    assert math.isnan(Curve("items", "own, MB", (10, 20), (0.0, 1.0)).exponent)


def test_rows_become_curves_by_what_grows_in_the_order_of_size() -> None:
    rows = [row("items", 100, **{"own, MB": 2.0}), row("items", 10, **{"own, MB": 1.0})]
    rows.append(row("events", 5, **{"prepare, s": 3.0}))
    assert curves(rows) == [
        Curve("items", "own, MB", (10, 100), (1.0, 2.0)),
        Curve("events", "prepare, s", (5,), (3.0,)),
    ]
    lines = list(section(curves(rows)))
    assert lines[0] == "| by items | 10 | 100 | exponent | 100,000,000 |"
    assert lines[2] == "| own, MB | 1 | 2 | 0.30 | 128 |"
    assert "| prepare, s | 3 | nan | – |" in lines


def test_the_section_and_the_plot_are_written_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = "before\n<!-- growth: written by a command -->\nold\n<!-- end of growth -->\nafter\n"
    (tmp_path / "scaling.md").write_text(page, encoding="utf-8")
    for size in (10, 100):
        put(row("items", size, **{"own, MB": float(size)}), tmp_path)
    write_curve(tmp_path, tmp_path)
    first = (tmp_path / "growth.svg").read_bytes()
    text = (tmp_path / "scaling.md").read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- growth")
    assert text.endswith("growth.svg)\n<!-- end of growth -->\nafter\n")
    assert "old" not in text
    write_curve(tmp_path, tmp_path)
    assert (tmp_path / "growth.svg").read_bytes() == first, "the same figures make the same picture"
    with pytest.raises(BenchmarkError, match="has no section"):
        fill("elsewhere", [], tmp_path)


def test_the_page_of_the_repository_has_the_section(tmp_path: Path) -> None:
    (tmp_path / "scaling.md").write_text((DOCS / "scaling.md").read_text(encoding="utf-8"), encoding="utf-8")
    fill("growth", ["here"], tmp_path)
    assert "\nhere\n" in (tmp_path / "scaling.md").read_text(encoding="utf-8")


def test_a_log_has_so_many_events_each_with_its_own_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.operate.event_files.A_FILE", 800)
    config = yaml.safe_load(write_events(tmp_path / "log", 2_000).read_text(encoding="utf-8"))
    files = sorted((tmp_path / "log" / "log").iterdir())
    rows = pl.read_parquet(files)
    assert (len(files), len(rows), rows["event_id"].n_unique()) == (3, 2_000, 2_000)
    assert rows["type"].is_in(list(config["dataset"]["types"])).all()
    assert rows["time"].dtype == pl.Datetime(time_zone="UTC")
    assert A_FILE == 1_000_000


def test_a_process_is_measured_with_all_below_it(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text("import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)")
    holds = "import time; held = bytearray(60_000_000); time.sleep(1)"
    ran = run(child, holds)
    assert ran.peak_mb >= 60
    assert ran.seconds >= 1
    assert family_mb(1 << 30) == 0.0
    assert sum(resident_mb().values()) > 1
    assert measured_apart("json.tool", "--compact", _written(tmp_path / "one.json")) == {"a": 1}


def _written(path: Path) -> Path:
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    return path

"""The page of figures about people is made from what was measured, and says under which circumstances."""

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.person.results import about_now, put, write_page

FOLDER = Path(__file__).parents[2] / "benchmarks" / "person"


def row(note: str = "") -> dict[str, Any]:
    read = {"p50_ms": 0.5, "p99_ms": 2.25}
    figures = {"users": 1000, "events": 5000, "loaded_per_s": 40_000, "appended_per_s": {"1": 300.4, "8": 900.0}}
    return {**figures, "read": read, "read_beside_writes": read, "about": about_now(note)}


def test_what_is_measured_stands_on_the_page(tmp_path: Path) -> None:
    put(tmp_path, "stores", "sqlite", row("It was busy."))
    found = {"kills": 100, "acknowledged": 3000, "lost": 0, "twice": 0, "torn": 0, "about": about_now("")}
    put(tmp_path, "crashes", "a writer", found)
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| SQLite, a file | 1,000 | 5,000 | 40,000 | 300 | 900 | 0.50 / 2.25 | 0.50 / 2.25 |" in text
    assert "| a writer | 100 | 3,000 | 0 | 0 | 0 |" in text
    assert "It was busy." in text
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"stores", "crashes"}


def test_nothing_measured_is_a_page_too(tmp_path: Path) -> None:
    write_page(tmp_path)
    assert "make bench-person" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def test_the_page_is_the_one_that_the_figures_make(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.json"):
        shutil.copy(path, tmp_path)
    write_page(tmp_path)
    assert (FOLDER / "RESULTS.md").read_text(encoding="utf-8") == (tmp_path / "RESULTS.md").read_text(encoding="utf-8")

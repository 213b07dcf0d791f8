"""Figures on pages are those that were measured: README's table and RESULTS.md are made from results.json."""

from pathlib import Path

from benchmarks.accuracy import speed_page
from benchmarks.accuracy.rendering import readme_block, results_page, with_block
from benchmarks.accuracy.results import read_rows

ROOT = Path(__file__).parents[2]
ACCURACY = ROOT / "benchmarks" / "accuracy"
AGAIN = "run `python -m benchmarks.accuracy --render`"


def test_readme_tells_what_was_measured() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_block(page, "accuracy", readme_block(read_rows(ACCURACY / "results.json"))) == page, AGAIN


def test_the_page_of_results_tells_what_was_measured() -> None:
    page = (ACCURACY / "RESULTS.md").read_text(encoding="utf-8")
    assert results_page(read_rows(ACCURACY / "results.json"), speed_page.read(ACCURACY)) == page, AGAIN

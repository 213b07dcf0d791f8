"""The page of figures about operating is made from what was measured, and says under which circumstances."""

import shutil
from pathlib import Path

import pytest

from benchmarks.operate.results import About, Row, page, put, read, told, write_page

FOLDER = Path(__file__).parents[2] / "benchmarks" / "operate"
ABOUT = About(command="python -m c", measured="2026-01-01 00:00", commit="abc", hardware="h", load=[0.5, 1.0, 2.0])


def row(name: str, study: str = "prepare", met: bool | None = True, **figures: float | int | str | None) -> Row:
    return Row(study=study, name=name, figures=figures, target="≤ 60 s", met=met, about=ABOUT)


def test_a_row_takes_the_place_of_its_elder_and_no_other(tmp_path: Path) -> None:
    for one in (
        row("a", seconds=90.0, met=False),
        row("b", seconds=3.0),
        row("a", study="growth"),
        row("a", seconds=9.5),
    ):
        put(one, tmp_path)
    assert [(one.study, one.name, one.figures) for one in read(tmp_path)] == [
        ("prepare", "a", {"seconds": 9.5}),
        ("prepare", "b", {"seconds": 3.0}),
        ("growth", "a", {}),
    ]
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| a | 9.5 | ≤ 60 s | yes |" in text
    assert "- a: `python -m c`, 2026-01-01 00:00 UTC, commit abc, h, load 0.5/1.0/2.0 before." in text


def test_what_was_not_measured_or_not_held_is_told() -> None:
    text = page([row("a", met=False, seconds=90.0), row("b", met=None, peak=None)])
    assert "| a | 90 | – | ≤ 60 s | **no** |" in text
    assert "| b | – | – | ≤ 60 s | – |" in text


def test_a_study_without_a_title_stands_last_under_its_own_name() -> None:
    text = page([row("a", study="brand_new"), row("a")])
    assert text.index("## Tables made ready") < text.index("## brand_new")


@pytest.mark.parametrize(
    ("figure", "text"), [(25_000_000, "25,000,000"), (0.12345, "0.123"), (1234.5, "1,234"), ("p50", "p50"), (None, "–")]
)
def test_a_figure_is_told_in_few_digits(figure: float | str | None, text: str) -> None:
    assert told(figure) == text


def test_the_page_is_the_one_that_the_figures_make(tmp_path: Path) -> None:
    if (FOLDER / "results.json").exists():
        shutil.copy(FOLDER / "results.json", tmp_path)
    write_page(tmp_path)
    again = "run `python -m benchmarks.operate`"
    assert (FOLDER / "RESULTS.md").read_text(encoding="utf-8") == (tmp_path / "RESULTS.md").read_text(
        encoding="utf-8"
    ), again

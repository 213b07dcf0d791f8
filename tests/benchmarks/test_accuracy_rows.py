"""Rows of the table of accuracies: written one at a time, shown as they were measured, asked for by name."""

import json
from pathlib import Path

import click
import pytest

from benchmarks.accuracy.__main__ import measure, rows_to_measure
from benchmarks.accuracy.own import Plan
from benchmarks.accuracy.peer_rows import RefusedError
from benchmarks.accuracy.rendering import readme_block, results_page, with_block
from benchmarks.accuracy.results import Measured, Row, put_row, read_rows, row_of


def row(system: str = "tailorbird", dataset: str = "ml-1m", ndcg: tuple[float, ...] = (0.19, 0.21)) -> Row:
    per_seed = [
        Measured(
            seed=seed,
            ndcg10=value,
            recall10=0.33,
            train_seconds=100.0 + seed,
            peak_mb=1000.0 + seed,
            users=10,
            users_with_list=10,
            distinct_items=7,
        )
        for seed, value in enumerate(ndcg)
    ]
    return row_of(
        dataset, system, per_seed, commit="c0ffee", config={"towers": {"blocks": 2}}, data="f00d", where="here"
    )


def test_a_row_is_the_mean_and_the_spread_of_its_seeds() -> None:
    one = row(ndcg=(0.19, 0.21))
    assert (one.seeds, one.ndcg10, one.recall10_sd) == ([0, 1], 0.20, 0.0)
    assert one.ndcg10_sd == pytest.approx(0.01414, abs=1e-5)
    assert (one.train_seconds, one.peak_mb) == (100.5, 1001.0)


def test_one_seed_has_no_spread() -> None:
    assert row(ndcg=(0.2,)).ndcg10_sd is None


def test_a_row_takes_the_place_of_its_like_and_of_no_other(tmp_path: Path) -> None:
    table = tmp_path / "results.json"
    for one in (row("popularity"), row(), row(dataset="beauty"), row(ndcg=(0.3,))):
        put_row(table, one)
    found = [(one.dataset, one.system, one.ndcg10) for one in read_rows(table)]
    assert found == [("ml-1m", "tailorbird", 0.3), ("ml-1m", "popularity", 0.2), ("beauty", "tailorbird", 0.2)]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_every_row_has_the_agreed_columns(tmp_path: Path) -> None:
    put_row(tmp_path / "results.json", row())
    (content,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    agreed = "dataset system seeds ndcg10 ndcg10_sd recall10 recall10_sd train_seconds peak_mb"
    assert set(agreed.split()) <= set(content)


def test_only_missing_rows_are_measured_unless_named() -> None:
    missing = rows_to_measure("", [row(), row("markov")])
    assert "ml-1m/tailorbird" not in missing
    assert "ml-1m/markov" not in missing
    assert missing[0] == "ml-1m/two-towers"
    assert rows_to_measure("ml-1m/markov, beauty/tailorbird", [row("markov")]) == ["ml-1m/markov", "beauty/tailorbird"]


def test_an_invented_row_is_named() -> None:
    with pytest.raises(click.ClickException, match="no such row: ml-1m/oracle"):
        rows_to_measure("ml-1m/oracle", [])


def test_a_peer_waits_for_the_row_that_gives_its_budget(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="measure that row first"):
        measure("ml-1m", "implicit-als", Plan(tmp_path, [0], {}), [row(dataset="beauty")])


def test_pages_show_figures_and_hold_them_against_the_targets() -> None:
    page = results_page([row(ndcg=(0.191,)), row("two-towers", ndcg=(0.1,))], None)
    assert "| tailorbird NDCG@10 | .1910 | .1815 | .1900 | .2050 | met |" in page
    assert "| tailorbird Recall@10 | .3300 | .3164 | .3220 | .3450 | met |" in page
    assert "| two towers alone NDCG@10 | .1000 | .1813 | .1770 | .1850 | **missed** |" in page
    assert ".1910" in readme_block([row(ndcg=(0.191,))])


def test_without_rows_the_block_says_so() -> None:
    assert "Nothing was measured yet" in readme_block([])


def test_only_the_named_block_of_a_page_changes() -> None:
    page = "a\n<!-- figures:x -->\nold\n<!-- /figures:x -->\n<!-- figures:y -->\nkept\n<!-- /figures:y -->\n"
    assert with_block(page, "x", "new \\1\n") == page.replace("old", "new \\1")
    with pytest.raises(ValueError, match="0 pairs of markers figures:z"):
        with_block(page, "z", "new\n")

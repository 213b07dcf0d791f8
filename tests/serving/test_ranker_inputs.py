"""What single columns of the ranker's rows say."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from features.moments import HOUR, to_moment
from features.person import Person
from serving.bundle import open_bundle
from serving.ranking.ranker_inputs import feature_names, ranker_rows
from serving.retrieval.candidates import retrieve
from serving.situation import situation

MONDAY = to_moment("2026-06-01T00:00:00Z")


@pytest.mark.parametrize(("at", "angle", "weekend"), [(MONDAY, 0, 0), (MONDAY - HOUR, 2 * np.pi * 23 / 24, 1)])
def test_the_clock_is_that_of_the_event_one_tick_later(trained: Any, at: int, angle: float, weekend: int) -> None:
    bundle = open_bundle(trained.bundle)
    for moment in (at - 1, at):
        here = situation(bundle, Person(), moment)
        row = dict(zip(feature_names(bundle.schema), ranker_rows(here, retrieve(here)).features[0], strict=True))
        assert row["hour_sin"] == pytest.approx(np.sin(angle))
        assert row["hour_cos"] == pytest.approx(np.cos(angle))
        assert row["weekend"] == weekend


def test_of_items_that_nobody_took_the_towers_word_stands_apart(trained: Any) -> None:
    bundle = open_bundle(trained.bundle)
    popularity = np.array(bundle.statistics.popularity)
    here = situation(bundle, Person(), MONDAY)
    untaken = retrieve(here).rows[::2]
    popularity[untaken] = 0
    known = dataclasses.replace(bundle, statistics=dataclasses.replace(bundle.statistics, popularity=popularity))
    here = situation(known, Person(), MONDAY)
    candidates = retrieve(here)
    columns = dict(zip(feature_names(known.schema), ranker_rows(here, candidates).features.T, strict=True))
    marked = popularity[candidates.rows] == 0
    assert 0 < marked.sum() < len(marked)
    np.testing.assert_array_equal(columns["untaken"], marked)
    for name in ("nearest_score", "nearest_rank"):
        np.testing.assert_array_equal(columns[f"untaken_{name}"], np.where(marked, columns[name], 0))


def test_the_report_judges_held_back_items_apart(trained: Any) -> None:
    report = json.loads((trained.run / "report.json").read_text(encoding="utf-8"))
    assert report["newcomers"]["tailorbird"]["moments"] > 0
    assert "## New items" in (trained.run / "report.md").read_text(encoding="utf-8")

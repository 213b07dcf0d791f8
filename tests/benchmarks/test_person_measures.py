"""Measuring what people declare: newcomers name what says something, and what is hidden is asked for twice."""

from typing import Any

import pytest

from benchmarks.person import hidden, interests
from features.people import People
from serving.bundle import open_bundle
from serving.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipeline(trained: Any) -> Pipeline:
    return Pipeline(open_bundle(trained.bundle))


def test_newcomers_name_categories_of_which_there_are_many(pipeline: Pipeline, trained: Any) -> None:
    people = People(trained.config.dataset, trained.tables)
    found = interests.measure(pipeline, people, 30)
    assert (found["people"], found["attribute"], found["values"]) == (30, "category", 12)
    assert found == interests.measure(pipeline, people, 30)
    assert all(low <= mean <= high for mean, low, high in (found[one] for one in interests.LISTS))


def test_interests_alone_are_more_use_than_none_in_the_simulator(pipeline: Pipeline, trained: Any) -> None:
    found = interests.measure(pipeline, People(trained.config.dataset, trained.tables), 100)
    assert found["interests minus popular"][1] > 0, "the lower end of the interval"


def test_hidden_categories_are_measured_with_and_without_what_was_kept(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hidden, "ROUNDS", 2)
    none, one, *_, crowd = hidden.measure(pipeline.bundle, crowd=3)
    assert (none["kept"], none["cache_mb"]) == (0, 0.0)
    assert (one["kept"], one["found"]) == (1, 0.6667)
    assert crowd["who"] == "each of 3 people hides 10"
    assert 10 < crowd["kept"] <= 30

"""Measuring faithfulness: what is deleted is really gone, others are as many and as old, and figures are figures."""

from typing import Any

import numpy as np
import pytest

from benchmarks.person.faithfulness import Case, Found, like_age, measure, place_of, without_events
from features.people import People
from features.person import Events, Person, Taken
from serving.answers import MAX_K, Query
from serving.bundle import open_bundle
from serving.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipeline(trained: Any) -> Pipeline:
    return Pipeline(open_bundle(trained.bundle))


def test_a_deleted_event_leaves_no_trace_but_what_was_done_again_stays() -> None:
    events = Events(["a", "b", "a", "c"], ["view", "view", "view", "buy"], np.arange(4), np.zeros(4, dtype=np.float32))
    taken = Taken(["b", "a", "c"], ["view", "view", "buy"], np.array([1, 2, 3]))
    left = without_events(Person(events, taken), np.array([0, 3]))
    assert list(left.events.item_ids) == ["b", "a"]
    assert left.events.moments.tolist() == [1, 2]
    assert left.taken is not None
    assert list(left.taken.item_ids) == ["b", "a"]
    assert without_events(Person(events), np.array([1])).taken is None


def test_others_are_as_many_none_of_the_named_and_near() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        named = np.sort(draw.choice(40, 5, replace=False))
        others = like_age(named, 40, draw)
        assert len(set(others.tolist())) == 5
        assert not set(others.tolist()) & set(named.tolist())
        assert np.abs(np.sort(others) - named).mean() < 8


def test_a_place_beyond_the_list_is_behind_all_of_it(pipeline: Pipeline) -> None:
    now = pipeline.bundle.statistics.newest
    shown = [one.item_id for one in pipeline.recommend(Person(), Query(k=MAX_K), now).items]
    assert [place_of(pipeline, Person(), one, now) for one in shown[:3]] == [0, 1, 2]
    missing = next(one for one in pipeline.bundle.schema.items.ids if one not in shown)
    assert place_of(pipeline, Person(), missing, now) >= len(shown)


def test_a_tie_is_no_success() -> None:
    found = Found(4, [Case(1, 5, 0), Case(2, 0, 0), Case(1, 1, 3)], without_events=1)
    row = found.row()
    assert found.share == pytest.approx(1 / 3)
    assert row["low"] < row["further"] < row["high"]
    assert (row["ties"], row["events"], row["no event named"]) == (0.3333, 1.33, 1)


def test_people_are_asked_on_the_whole_path(pipeline: Pipeline, trained: Any) -> None:
    people = People(trained.config.dataset, trained.tables)
    found, again = (measure(pipeline, people, 8) for _ in range(2))
    assert found == again
    assert found.people == len(found.cases) + found.without_events == 8
    assert all(case.events >= 1 for case in found.cases)

"""Places that are held for items nobody had taken: the order, and the lists of the pipeline."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.person import Person
from serving.answers import Query
from serving.items.delta import Delta, ItemRecord
from serving.pipeline import Pipeline
from serving.ranking.untaken import TOP, held, with_untaken


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 45), st.floats(0, 1))
def test_the_share_is_held_and_nothing_else_changes(marks: list[bool], k: int, share: float) -> None:
    order = np.random.default_rng(len(marks)).permutation(len(marks))
    untaken = np.array(marks, dtype=np.bool_)
    found = with_untaken(order, untaken, k, share)
    assert sorted(found.tolist()) == list(range(len(marks)))
    part = untaken.sum() / max(len(untaken), 1)
    wanted = min(held(k, min(share, float(part))), int(untaken.sum()))
    assert untaken[found[:k]].sum() == max(wanted, untaken[order[:k]].sum())
    assert found[:TOP].tolist() == order[:TOP].tolist()
    places = {one: place for place, one in enumerate(order.tolist())}
    for kind in (True, False):
        part = [places[one] for one in found.tolist() if untaken[one] == kind]
        assert part == sorted(part)
    ranks = [places[one] for one in found[:k].tolist()]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("k", "share", "places"), [(10, 1.0, 0), (12, 0.1, 1), (12, 0.5, 2), (20, 0.1, 2), (50, 0.05, 2)]
)
def test_of_the_first_ten_places_none_is_held(k: int, share: float, places: int) -> None:
    assert held(k, share) == places


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_lists_hold_places_for_what_nobody_took(trained: Any, pipeline: Pipeline, now: int, share: float) -> None:
    bundle = pipeline.bundle
    attributes = {"category": "drama", "creator": "creator-1"}
    come = [ItemRecord(f"new-{number}", attributes, now) for number in range(40)]
    bundle = bundle.with_items(bundle.tables.after(Delta.empty(bundle.schema, bundle.catalogue), come))
    lists = {}
    for part in (0.0, share):
        settings = bundle.settings.model_copy(update={"untaken_share": part})
        answer = Pipeline(replace(bundle, settings=settings)).recommend(Person(), Query(k=20), now)
        lists[part] = [one.item_id for one in answer.items]
        scores = [one.score for one in answer.items]
        assert scores == sorted(scores, reverse=True)
    untaken = {one for one in lists[share] if bundle.statistics.popularity[bundle.schema.items.rows([one])][0] == 0}
    assert len(untaken) >= int(share * 20)
    assert [one for one in lists[share] if one in lists[0.0]] == lists[0.0][: len({*lists[0.0]} & {*lists[share]})]

"""/v1/explain: every stage at which an item's way can end, told by the rule that ends it, and always as the list is."""

from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.moments import DAY
from features.people import People
from features.person import Person, Taken
from serving.answers import Query
from serving.filters import FilterReader
from serving.pipeline import Pipeline


@pytest.fixture(scope="module")
def person(trained: Any) -> Person:
    people = People(trained.config.dataset, trained.tables)
    return people.person(max(people.user_ids, key=lambda user: np.diff(people.span(user))[0]))


def test_the_list_and_the_explanation_agree_on_every_item(pipeline: Pipeline, person: Person, now: int) -> None:
    query = Query(k=10)
    shown = pipeline.recommend(person, query, now).items
    places = {one.item_id: place for place, one in enumerate(shown, start=1)}
    for item in pipeline.bundle.schema.items.ids:
        standing = pipeline.explain(person, item, query, now)
        assert (not standing.obstacles) == (item in places)
        if item in places:
            assert (standing.place, standing.score) == (places[item], shown[places[item] - 1].score)
            assert standing.reasons


def test_an_unknown_item(pipeline: Pipeline, person: Person, now: int) -> None:
    standing = pipeline.explain(person, "nowhere", Query(), now)
    assert [one.stop for one in standing.obstacles] == ["unknown"]


def test_an_item_that_opens_later_or_closed_before(pipeline: Pipeline, now: int) -> None:
    catalogue, items = pipeline.bundle.catalogue, pipeline.bundle.schema.items
    row = int(np.argmax(np.asarray(catalogue.available_from)))
    first = int(np.asarray(catalogue.available_from)[row])
    (early,) = pipeline.explain(Person(), items.id_of(row), Query(), first - DAY).obstacles
    assert (early.stop, early.until) == ("unavailable", first)
    closing = np.flatnonzero(np.asarray(catalogue.available_to) < np.iinfo(np.int64).max)
    if len(closing):
        row = int(closing[0])
        last = int(np.asarray(catalogue.available_to)[row])
        (late,) = pipeline.explain(Person(), items.id_of(row), Query(), last + DAY).obstacles
        assert (late.stop, late.since, late.until) == ("unavailable", last + 1, None)


def test_an_item_that_was_taken_names_the_event_and_its_end(pipeline: Pipeline, now: int) -> None:
    item = pipeline.recommend(Person(), Query(k=1), now).items[0].item_id
    bought = now - 3 * DAY
    taken = Taken([item, item], ["purchase", "skip"], np.array([bought, bought - DAY]))
    (found,) = pipeline.explain(Person(taken=taken), item, Query(), now).obstacles
    assert (found.stop, found.event_type, found.event_moment) == ("taken", "purchase", bought)
    assert found.until == bought + 30 * DAY
    before, after = (pipeline.explain(Person(taken=taken), item, Query(), found.until + one) for one in (-1, 0))
    assert [one.stop for one in before.obstacles][:1] == ["taken"]
    assert "taken" not in [one.stop for one in after.obstacles]


def test_all_that_stops_an_item_is_named_in_order(pipeline: Pipeline, now: int) -> None:
    item = pipeline.recommend(Person(), Query(k=1), now).items[0].item_id
    taken = Taken([item], ["purchase"], np.array([now - DAY]))
    reader = FilterReader(pipeline.bundle.schema.dataset)
    query = Query(exclude=[item], filter=reader.read("price > 100000 and not seen and not price > 200000"))
    found = pipeline.explain(Person(taken=taken), item, query, now).obstacles
    assert [one.stop for one in found[:3]] == ["excluded", "taken", "filter"]
    assert "price > 100000" in [one.condition for one in found]
    assert all("200000" not in str(one.condition) for one in found)


def test_what_came_too_low_says_which_score_is_needed(pipeline: Pipeline, person: Person, now: int) -> None:
    query = Query(k=5)
    order = pipeline.recommend(person, replace(query, k=30), now).items
    standing = pipeline.explain(person, order[20].item_id, query, now)
    assert [one.stop for one in standing.obstacles] == ["ranked_low"]
    assert (standing.place, standing.obstacles[0].needed) == (21, order[4].score)
    assert standing.score is not None
    assert standing.score < order[4].score


def test_what_no_source_brought_has_its_place_in_each(pipeline: Pipeline, person: Person, now: int) -> None:
    brought = {one.item_id for one in pipeline.recommend(person, Query(k=5), now).items}
    found = [pipeline.explain(person, item, Query(k=5), now) for item in pipeline.bundle.schema.items.ids]
    missed = [one for one in found if "not_found" in [obstacle.stop for obstacle in one.obstacles]]
    assert missed
    for one in missed:
        assert one.item_id not in brought
        assert one.place is not None
        assert all(place.place is None or place.place > place.brings for place in one.sources)
        assert not one.reasons


@settings(max_examples=25)
@given(data=st.data())
def test_no_question_contradicts_its_list(data: st.DataObject, pipeline: Pipeline, person: Person, now: int) -> None:
    """Whatever is asked, an item is explained as shown exactly when it is in the list."""
    ids = list(pipeline.bundle.schema.items.ids)
    text = data.draw(st.sampled_from([None, "price < 30", 'kind = "video"', "not seen within 30d"]))
    query = Query(
        k=data.draw(st.integers(1, 40)),
        exclude=data.draw(st.lists(st.sampled_from(ids), max_size=20)),
        filter=None if text is None else FilterReader(pipeline.bundle.schema.dataset).read(text),
    )
    moment = now + data.draw(st.integers(-30, 30)) * DAY
    whom = data.draw(st.sampled_from([person, Person()]))
    shown = {one.item_id for one in pipeline.recommend(whom, query, moment).items}
    for item in data.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=5)):
        assert (not pipeline.explain(whom, item, query, moment).obstacles) == (item in shown)


def test_the_endpoint_tells_what_would_have_to_differ(client: httpx.Client) -> None:
    body = client.post("/v1/explain", json={"item_id": "i7", "k": 5}).json()
    assert (body["shown"], body["place"], body["k"]) == (False, 8, 5)
    (obstacle,) = body["obstacles"]
    assert (obstacle["stop"], obstacle["needed"]) == ("ranked_low", 0.2)
    assert body["sentence"] == obstacle["sentence"]
    assert body["sentence"] == "It stands in place 8; the first 5 need a score of 0.2 where it has 0.125."
    shown = client.post("/v1/explain", json={"item_id": "i7", "language": "pl"}).json()
    assert (shown["shown"], shown["obstacles"], shown["language"]) == (True, [], "pl")
    assert shown["sentence"] == "Ta pozycja jest na liście, na miejscu 8 z 20."


def test_the_endpoint_refuses_what_recommend_refuses(client: httpx.Client) -> None:
    missing = client.post("/v1/explain", json={"k": 5})
    assert (missing.status_code, missing.json()["error"]["field"]) == (400, "item_id")
    unreadable = client.post("/v1/explain", json={"item_id": "i1", "filter": "colour = 1"})
    assert (unreadable.status_code, unreadable.json()["error"]["field"]) == (400, "filter")

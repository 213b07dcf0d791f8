"""What an answer holds, for anybody, and that training, batch and service ask the same object."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.moments import DAY
from features.people import People
from features.person import Events, Person, Taken
from features.vocabulary import RESERVED
from serving.answers import Query
from serving.pipeline import Pipeline
from serving.retrieval.candidates import given, retrieve
from serving.retrieval.eligibility import open_to, open_to_all
from serving.retrieval.sources import SOURCES
from serving.situation import situation


@pytest.fixture(scope="module")
def people(trained: Any) -> People:
    return People(trained.config.dataset, trained.tables)


def busy(people: People, count: int) -> list[str]:
    return [user for user in people.user_ids if np.diff(people.span(user))[0] >= 5][:count]


def test_a_stranger_gets_a_full_list(pipeline: Pipeline, now: int) -> None:
    answer = pipeline.recommend(Person(), Query(k=20), now)
    assert len({one.item_id for one in answer.items}) == 20
    assert answer.shortfall is None


def test_scores_fall_and_probabilities_are_probabilities(pipeline: Pipeline, people: People, now: int) -> None:
    answer = pipeline.recommend(people.person(busy(people, 1)[0]), Query(k=30), now)
    scores = [one.score for one in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < p < 1 for one in answer.items for p in one.probabilities.values())
    assert set(answer.items[0].probabilities) == {"view", "play", "cart", "purchase", "skip", "return"}


def test_asking_changes_nothing(pipeline: Pipeline, people: People, now: int) -> None:
    person = people.person(busy(people, 1)[0])
    first, second = (pipeline.recommend(person, Query(k=20), now) for _ in range(2))
    assert first.items == second.items


def test_people_who_are_asked_together_get_what_each_gets_alone(pipeline: Pipeline, people: People, now: int) -> None:
    users = [people.person(user, now) for user in busy(people, 3)]
    half = replace(users[1], preferences=replace(users[1].preferences, strength=0.5))
    asked = [(users[0], now), (Person(), now), (half, now), (users[2], now - 30 * DAY)]
    query = Query(k=15, explain=True)
    together = pipeline.recommend_all(asked, query)
    assert [one.items for one in together] == [
        pipeline.recommend(person, query, moment).items for person, moment in asked
    ]
    assert all(one.timings.keys() == together[0].timings.keys() for one in together)
    assert pipeline.recommend_all([], query) == []


def test_excluded_items_do_not_come_back(pipeline: Pipeline, people: People, now: int) -> None:
    person = people.person(busy(people, 1)[0])
    shown = {one.item_id for one in pipeline.recommend(person, Query(k=10), now).items}
    again = pipeline.recommend(person, Query(k=10, exclude=shown), now)
    assert not shown & {one.item_id for one in again.items}


def test_the_next_click_changes_the_answer(pipeline: Pipeline, people: People, now: int) -> None:
    user = busy(people, 1)[0]
    person = people.person(user, now)
    before = pipeline.recommend(person, Query(k=10), now + 1000)
    events = person.events
    clicked = Events(
        [*events.item_ids, before.items[5].item_id],
        [*events.types, "view"],
        np.append(events.moments, now),
        np.append(events.values, np.float32(np.nan)),
        None if events.contexts is None else [*events.contexts, {}],
    )
    after = pipeline.recommend(replace(person, events=clicked), Query(k=10), now + 1000)
    assert [one.score for one in before.items] != [one.score for one in after.items]


def test_a_purchase_stays_away_for_its_days_and_then_may_return(pipeline: Pipeline, now: int) -> None:
    bundle = pipeline.bundle
    row = int(np.argmax(bundle.statistics.popularity))
    item = bundle.schema.items.id_of(row)
    person = Person(taken=Taken([item], ["purchase"], np.array([now])))
    days = bundle.schema.dataset.types["purchase"].repeat.after_days  # type: ignore[union-attr]
    soon, later = now + DAY, now + int(days * DAY) + 1
    both = np.array([row])
    assert not open_to(bundle.schema, bundle.catalogue, person, soon).has(both)[0]
    assert (
        open_to(bundle.schema, bundle.catalogue, person, later).has(both)[0]
        == (open_to_all(bundle.schema, bundle.catalogue, later).has(both)[0])
    )


def test_an_item_is_shown_only_while_it_is_available(pipeline: Pipeline, now: int) -> None:
    is_open = open_to_all(pipeline.bundle.schema, pipeline.bundle.catalogue, now)
    shown = pipeline.recommend(Person(), Query(k=500), now)
    rows = pipeline.bundle.schema.items.rows([one.item_id for one in shown.items])
    assert is_open.count < len(pipeline.bundle.catalogue) - RESERVED
    assert is_open.has(rows).all()
    assert shown.shortfall is not None
    assert shown.shortfall.given == len(shown.items)


def test_every_source_brings_only_what_may_be_shown(pipeline: Pipeline, people: People, now: int) -> None:
    for user in busy(people, 20):
        here = situation(pipeline.bundle, people.person(user), now)
        for source in SOURCES:
            rows = source.retrieve(here, 25)
            assert len(rows) <= 25
            assert len(set(rows.tolist())) == len(rows)
            assert here.eligible.has(rows).all(), source.name


def test_the_rank_of_a_given_list_uses_the_same_rows_as_retrieval(pipeline: Pipeline, people: People, now: int) -> None:
    here = situation(pipeline.bundle, people.person(busy(people, 1)[0]), now)
    found = retrieve(here)
    some = found.rows[::3]
    assert np.array_equal(given(here, some).ranks, found.ranks[::3])


def test_rank_keeps_every_known_item_and_names_the_others(pipeline: Pipeline, people: People, now: int) -> None:
    items = [*pipeline.bundle.schema.items.ids[:12], "no such item"]
    answer = pipeline.rank(people.person(busy(people, 1)[0]), items, Query(), now)
    assert {one.item_id for one in answer.items} == set(items[:12])
    assert answer.unknown == ("no such item",)


@pytest.mark.parametrize("kind", ["similar", "goes_with", "next"])
def test_similar_items_are_others_and_in_order(pipeline: Pipeline, now: int, kind: Any) -> None:
    item = pipeline.bundle.schema.items.id_of(int(np.argmax(pipeline.bundle.statistics.popularity)))
    answer = pipeline.similar([item], kind, Query(k=5), now)
    assert answer.items
    assert item not in {one.item_id for one in answer.items}
    scores = [one.score for one in answer.items]
    assert scores == sorted(scores, reverse=True)


def test_reasons_name_items_of_the_persons_past(pipeline: Pipeline, people: People, now: int) -> None:
    person = people.person(busy(people, 1)[0])
    answer = pipeline.recommend(person, Query(k=20, explain=True), now)
    named = {reason.item_id for one in answer.items for reason in one.reasons if reason.item_id}
    assert named
    assert named <= set(person.events.item_ids)

"""What a person declared, in the answers of the pipeline: hidden, less of it, more of it, and how strongly."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from features.moments import DAY
from features.people import People
from features.person import Person, impersonal
from features.preferences import Category, Preferences
from serving.answers import Answer, Query
from serving.api.replies import ListReply
from serving.filters import parse_filter
from serving.pipeline import Pipeline
from serving.retrieval.candidates import retrieve
from serving.retrieval.preferred import BLOCK, of_any, with_pinned
from serving.situation import situation


@pytest.fixture(scope="module")
def people(trained: Any) -> list[Person]:
    everybody = People(trained.config.dataset, trained.tables)
    busy = [user for user in everybody.user_ids if np.diff(everybody.span(user))[0] >= 5]
    return [Person(), *(everybody.person(user) for user in busy[:6])]


def ids(answer: Answer | ListReply) -> list[str]:
    return [one.item_id for one in answer.items]


def are_of(pipeline: Pipeline, items: list[str], category: Category) -> list[bool]:
    found: list[bool] = of_any(pipeline.bundle, [category], pipeline.bundle.schema.items.rows(items)).tolist()
    return found


def declared(person: Person, **given: Any) -> Person:
    return replace(person, preferences=Preferences(**given))


def test_what_is_hidden_is_in_no_list(pipeline: Pipeline, people: list[Person], category: Category, now: int) -> None:
    for person in people:
        first = ids(pipeline.recommend(person, Query(k=20), now))
        hiding = declared(person, hidden_items=frozenset(first[:5]), hidden=frozenset({category}))
        for strength in (0.0, 0.4, 1.0):
            felt = replace(hiding, preferences=replace(hiding.preferences, strength=strength))
            for query in (
                Query(k=30),
                Query(k=500),
                Query(k=30, filter=parse_filter("price > 0", pipeline.bundle.schema.dataset)),
            ):
                found = ids(pipeline.recommend(felt, query, now))
                assert found
                assert not {*found} & {*first[:5]}
                assert not any(are_of(pipeline, found, category))
            ranked = pipeline.rank(felt, [*first, "nowhere"], Query(), now)
            assert not {*ids(ranked)} & {*first[:5]}
            assert not any(are_of(pipeline, ids(ranked), category))
            assert ranked.shortfall is not None
            assert "hidden by the person" in ranked.shortfall.cause


def test_when_all_is_hidden_the_answer_says_so(pipeline: Pipeline, now: int) -> None:
    everything = frozenset(pipeline.bundle.schema.items.ids)
    answer = pipeline.recommend(declared(Person(), hidden_items=everything), Query(), now)
    assert answer.items == ()
    assert answer.shortfall is not None
    assert "hidden by the person" in answer.shortfall.cause


def test_an_attribute_that_the_data_set_lacks_hides_nothing(pipeline: Pipeline, people: list[Person], now: int) -> None:
    strange = declared(people[1], hidden=frozenset({Category("colour", "red"), Category("price", "5")}))
    assert ids(pipeline.recommend(strange, Query(), now)) == ids(pipeline.recommend(people[1], Query(), now))


def test_no_strength_is_the_list_of_somebody_unknown(pipeline: Pipeline, people: list[Person], now: int) -> None:
    for person in people:
        known = replace(person, context={"device": "tv"})
        interested = declared(known, strength=0.0, interests=(Category("category", "crime"),))
        nobody = Person(context=known.context)
        plain = pipeline.recommend(nobody, Query(k=30), now)
        assert pipeline.recommend(interested, Query(k=30), now).items == plain.items
        assert len(impersonal(interested).events) == 0


def test_full_strength_is_the_answer_as_ever(pipeline: Pipeline, people: list[Person], now: int) -> None:
    for person in people:
        answer = pipeline.recommend(declared(person, strength=1.0), Query(k=30), now)
        assert answer.items == pipeline.recommend(person, Query(k=30), now).items


def test_over_one_list_a_stronger_answer_is_never_nearer_to_the_plain_one(
    pipeline: Pipeline, people: list[Person], now: int
) -> None:
    for person in people[1:4]:
        here = situation(pipeline.bundle, declared(person, strength=0.5), now)
        items = [pipeline.bundle.schema.items.id_of(row) for row in retrieve(here, 30).rows.tolist()]
        strengths = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
        lists = [ids(pipeline.rank(declared(person, strength=one), items, Query(), now)) for one in strengths]
        plain = {item: place for place, item in enumerate(lists[0])}
        swaps = [sum(plain[a] > plain[b] for at, a in enumerate(one) for b in one[at + 1 :]) for one in lists]
        assert swaps == sorted(swaps)
        assert swaps[-1] > 0
        for k in (5, 10, 20):
            overlaps = [len({*one[:k]} & {*lists[0][:k]}) for one in lists]
            assert all(stronger <= weaker for weaker, stronger in pairwise(overlaps))


def test_interests_alone_make_a_list(pipeline: Pipeline, category: Category, now: int) -> None:
    plain = ids(pipeline.recommend(Person(), Query(k=10), now))
    answer = pipeline.recommend(declared(Person(), interests=(category,)), Query(k=10), now)
    assert sum(are_of(pipeline, ids(answer), category)) > sum(are_of(pipeline, plain, category))
    mine = next(one for one in answer.items if are_of(pipeline, [one.item_id], category)[0])
    assert "interests" in mine.sources


def test_a_disliked_category_stands_further_down(pipeline: Pipeline, category: Category, now: int) -> None:
    plain = ids(pipeline.recommend(Person(), Query(k=10), now))
    less = ids(pipeline.recommend(declared(Person(), disliked=frozenset({category})), Query(k=10), now))
    assert sum(are_of(pipeline, less, category)) < sum(are_of(pipeline, plain, category))


def test_a_liked_item_counts_as_the_past(pipeline: Pipeline, now: int) -> None:
    liked = pipeline.bundle.schema.items.id_of(int(pipeline.bundle.statistics.by_popularity[40]))
    answer = pipeline.recommend(declared(Person(), liked_items=((liked, now - DAY),)), Query(k=10), now)
    assert ids(answer) != ids(pipeline.recommend(Person(), Query(k=10), now))
    later = declared(Person(), liked_items=((liked, now + DAY),))
    assert ids(pipeline.recommend(later, Query(k=10), now)) == ids(pipeline.recommend(Person(), Query(k=10), now))


def test_a_liked_item_is_named_as_liked_and_not_as_history(pipeline: Pipeline, now: int) -> None:
    liked = pipeline.bundle.schema.items.id_of(int(pipeline.bundle.statistics.by_popularity[40]))
    person = declared(Person(), liked_items=((liked, now - DAY),))
    items = pipeline.recommend(person, Query(k=20, explain=True), now).items
    told = [reason for one in items for reason in one.reasons if reason.item_id is not None]
    assert {(reason.code, reason.item_id) for reason in told} == {("liked", liked)}


def test_pinned_interests_take_turns_in_each_five_places(pipeline: Pipeline, now: int) -> None:
    column: Any = pipeline.bundle.filterable.items.attributes.columns["category"]
    pins = tuple(Category("category", text) for text in list(column.texts)[:2])
    answer = pipeline.recommend(declared(Person(), interests=pins, pinned=pins), Query(k=20), now)
    for block in range(4):
        found = ids(answer)[BLOCK * block : BLOCK * (block + 1)]
        assert any(are_of(pipeline, found, pins[block % 2]))
    mine = [one for one in answer.items if any(are_of(pipeline, [one.item_id], pin)[0] for pin in pins)]
    assert all(one.sources[0] == "pinned" for one in mine)


@pytest.mark.parametrize("code", ["interest", "pinned"])
def test_what_was_declared_is_given_as_the_reason(pipeline: Pipeline, category: Category, now: int, code: str) -> None:
    asked = Query(k=10, explain=True)
    person = declared(Person(), interests=(category,), pinned=(category,) if code == "pinned" else ())
    items = pipeline.recommend(person, asked, now).items
    assert any(are_of(pipeline, [one.item_id for one in items], category))
    fallen = []
    for one in items:
        told = [reason for reason in one.reasons if reason.code in ("interest", "pinned")]
        if not are_of(pipeline, [one.item_id], category)[0]:
            assert not told
            continue
        (reason,) = told
        assert (reason.code, reason.name, reason.value) == (code, *category)
        without = pipeline.explain(Person(), one.item_id, Query(k=10), now)
        assert without.score is not None
        assert reason.weight == pytest.approx(one.score - without.score, abs=1e-6)
        fallen.append(reason.places)
    assert min(fallen) >= 0
    assert max(fallen) > 0


def test_an_interest_is_no_reason_where_it_changes_nothing(pipeline: Pipeline, category: Category, now: int) -> None:
    stated = declared(Person(), interests=(category,))
    weak = replace(stated, preferences=replace(stated.preferences, strength=0.0))
    items = pipeline.recommend(weak, Query(k=20, explain=True), now).items
    assert not [reason for one in items for reason in one.reasons if reason.code == "interest"]


def test_a_pin_moves_as_little_as_it_can() -> None:
    mask = np.zeros(12, dtype=bool)
    mask[[8, 11]] = True
    assert with_pinned(np.arange(12), [mask], 10).tolist() == [0, 1, 2, 3, 8, 4, 5, 6, 7, 11, 9, 10]
    assert with_pinned(np.arange(12), [mask], 3).tolist() == [0, 1, 8, 2, 3, 4, 5, 6, 7, 9, 10, 11]
    assert with_pinned(np.arange(12), [], 10).tolist() == list(range(12))
    assert with_pinned(np.arange(0), [mask[:0]], 10).tolist() == []

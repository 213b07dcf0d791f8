"""Reasons: what hiding a part does equals the slow way of asking again, and what is said is what was measured."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from features.histories import encode_history, sequence_inputs
from features.people import People
from features.person import Person
from serving.answers import Query
from serving.pipeline import Pipeline
from serving.reasons.occlusion import NOTHING, Part, scores_without
from serving.reasons.past import past_items
from serving.reasons.weighing import MOST_ITEMS
from serving.retrieval.candidates import Candidates, given, retrieve
from serving.retrieval.sources import SOURCES
from serving.situation import Situation, situation


@pytest.fixture(scope="module")
def known(trained: Any) -> list[Person]:
    """People with much of a past, on a phone."""
    people = People(trained.config.dataset, trained.tables)
    busy = [user for user in people.user_ids if np.diff(people.span(user))[0] >= 12][:6]
    return [replace(people.person(user), context={"device": "phone"}) for user in busy]


def without_places(person: Person, here: Situation, places: np.ndarray) -> Person:
    """The slow way: a record without these events of the history."""
    events, gone = person.events, set(here.history.kept[places].tolist())
    kept = [one for one in range(len(events)) if one not in gone]
    left = replace(
        events,
        item_ids=[events.item_ids[one] for one in kept],
        types=[events.types[one] for one in kept],
        moments=events.moments[kept],
        values=events.values[kept],
        contexts=None if events.contexts is None else [events.contexts[one] for one in kept],
    )
    return replace(person, events=left)


def test_a_history_without_events_is_encoded_as_if_they_had_never_been(
    pipeline: Pipeline, known: list[Person], now: int
) -> None:
    schema = pipeline.bundle.schema
    for person in known:
        here = situation(pipeline.bundle, person, now)
        places = np.arange(0, len(here.history.item_rows), 3)
        kept = np.delete(np.arange(len(here.history.item_rows)), places)
        slow_person = without_places(replace(person, events=person.events.newest(20)), here, places[:0])
        whole = encode_history(schema, slow_person, now, 20)
        slow = encode_history(schema, without_places(slow_person, replace(here, history=whole), places), now, 20)
        assert np.array_equal(whole.only(kept).item_rows, slow.item_rows)
        fast = sequence_inputs(schema, slow_person, whole, now).only(kept)
        again = without_places(slow_person, replace(here, history=whole), places)
        for mine, reference in zip(fast, sequence_inputs(schema, again, slow, now), strict=True):
            assert np.array_equal(mine, reference)


def test_hiding_equals_asking_again(pipeline: Pipeline, known: list[Person], now: int) -> None:
    """All at once, and one after the other through the pipeline's own stages, with what may be shown left as it is."""
    for whole in known[:3]:
        person = replace(whole, events=whole.events.newest(20))
        here = situation(pipeline.bundle, person, now)
        candidates = retrieve(here, 20)
        first = int(here.history.item_rows[-1])
        events = np.flatnonzero(here.history.item_rows == first)
        parts = [NOTHING, Part("events", events=events), Part("attribute", "gender"), Part("context", "device")]
        others = [
            person,
            without_places(person, here, events),
            replace(person, attributes={k: v for k, v in person.attributes.items() if k != "gender"}),
            replace(person, context={}),
        ]
        found = scores_without(here, candidates, parts, lambda logits: pipeline.expected(logits)[0])
        for mine, other in zip(found, others, strict=True):
            again = replace(situation(pipeline.bundle, other, now), eligible=here.eligible)
            slow, _ = pipeline.score(again, given(again, candidates.rows))
            changed = candidates.ranks[:, 2:4] if other is person else given(again, candidates.rows).ranks[:, 2:4]
            kept = (changed == candidates.ranks[:, 2:4]).all(axis=1)
            assert np.allclose(mine[kept], slow[kept], rtol=1e-4, atol=1e-7)


def test_a_source_is_hidden_by_its_places_alone(pipeline: Pipeline, known: list[Person], now: int) -> None:
    here = situation(pipeline.bundle, known[0], now)
    candidates = retrieve(here, 20)
    ranks = candidates.ranks.copy()
    ranks[:, [source.name for source in SOURCES].index("popular")] = 0
    slow, _ = pipeline.score(here, Candidates(candidates.rows, ranks))
    (found,) = scores_without(here, candidates, [Part("source", "popular")], lambda one: pipeline.expected(one)[0])
    assert np.allclose(found, slow, rtol=1e-4, atol=1e-7)


def test_the_past_is_cut_by_item_and_the_most_promising_are_kept(
    pipeline: Pipeline, known: list[Person], now: int
) -> None:
    here = situation(pipeline.bundle, known[0], now)
    history = here.history.item_rows
    all_of_it = past_items(here, history[:2], MOST_ITEMS)
    assert sorted(np.concatenate(all_of_it).tolist()) == list(range(len(history)))
    assert all(len(set(history[places].tolist())) == 1 for places in all_of_it)
    few, more = ({tuple(one) for one in past_items(here, history[:2], most)} for most in (3, 6))
    assert len(few) == 3
    assert len(more) == 6
    assert few < more


def test_named_items_are_the_persons_own_and_lift_the_item(pipeline: Pipeline, known: list[Person], now: int) -> None:
    named = 0
    for person in known:
        read = situation(pipeline.bundle, person, now).history
        ids = [pipeline.bundle.schema.items.id_of(int(row)) for row in read.item_rows]
        for item in pipeline.recommend(person, Query(k=10, explain=True), now).items:
            assert item.reasons
            past = [one for one in item.reasons if one.item_id is not None]
            named += len(past)
            assert len(past) <= 3
            for one in past:
                assert one.weight > 0
                assert ids.count(str(one.item_id)) == one.times
                assert (one.code == "again") <= (one.item_id == item.item_id)
    assert named > 20


def test_asking_for_reasons_changes_nothing_else(pipeline: Pipeline, known: list[Person], now: int) -> None:
    plain = pipeline.recommend(known[0], Query(k=10), now)
    reasoned = pipeline.recommend(known[0], Query(k=10, explain=True), now)
    assert [replace(one, reasons=()) for one in reasoned.items] == list(plain.items)
    assert "explain" in reasoned.timings
    assert "explain" not in plain.timings


def test_a_stranger_hears_what_is_true_of_the_item(pipeline: Pipeline, now: int) -> None:
    taken, items = np.asarray(pipeline.bundle.statistics.popularity), pipeline.bundle.schema.items
    answer = pipeline.recommend(Person(), Query(k=30, explain=True), now)
    facts = [(items.row(one.item_id), reason) for one in answer.items for reason in one.reasons]
    assert {reason.code for _, reason in facts} <= {"popular", "trending", "new", "general"}
    popular = [(row, reason) for row, reason in facts if reason.code == "popular"]
    assert popular
    for row, reason in popular:
        assert reason.count == int(taken[row])
        assert reason.place == 1 + int((taken > taken[row]).sum())


def test_protected_attributes_are_named_when_they_counted(
    pipeline: Pipeline, known: list[Person], now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.reasons.naming.MATTERS", 0.0)
    found = [
        reason
        for person in known
        for item in pipeline.recommend(person, Query(k=10, explain=True), now).items
        for reason in item.reasons
        if reason.code == "attribute"
    ]
    columns = pipeline.bundle.schema.dataset.users.columns
    assert {one.name for one in found} & {name for name, column in columns.items() if column.protected}
    assert all((one.protected is True) == columns[str(one.name)].protected for one in found)
    born = [one for one in found if one.name == "birth_date"]
    assert born
    assert all(one.value == date.fromisoformat(str(one.value)).isoformat() for one in born)
    assert all(one.moment is not None for one in born)
    assert all(one.weight > 0 for one in found)


def test_rank_explains_too(pipeline: Pipeline, known: list[Person], now: int) -> None:
    items = pipeline.bundle.schema.items.ids[:5]
    assert all(one.reasons for one in pipeline.rank(known[0], items, Query(explain=True), now).items)
    assert pipeline.rank(known[0], ["nowhere"], Query(explain=True), now).items == ()


def test_an_item_that_came_after_the_training_can_be_a_reason(pipeline: Pipeline) -> None:
    transitions = pipeline.bundle.transitions
    rows = np.array([transitions.n_rows + 3, 5])
    assert transitions.between(rows, 7).tolist() == [0.0, *transitions.between(rows[1:], 7).tolist()]

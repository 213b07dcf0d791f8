"""What a service counts of its answers' inputs: near what was trained on for the training's own people, and far for
others; nothing of those who may not be counted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.consent import ConsentRules
from features.drift import psi_of_counts
from features.inputs import input_codes
from features.people import People
from features.person import Person
from features.statements import Statement
from serving.api.requests import RankRequest, RecommendRequest
from serving.bundle import Bundle
from serving.desk.desk import Desk
from serving.desk.input_watch import MOST_AT_ONCE, InputWatch, tell_references
from serving.pipeline import Pipeline
from serving.state import ItemLog
from serving.state.protocol import State, StoredEvent
from training.moments import Moment, moments_among
from training.slices import C, cut

Counts = dict[tuple[str, int], float]


@pytest.fixture(scope="module")
def bundle(pipeline: Pipeline) -> Bundle:
    return pipeline.bundle


@pytest.fixture(scope="module")
def moments(trained: Any) -> list[Moment]:
    """Those of the training's people from which its reference was counted."""
    people = People(trained.config.dataset, trained.tables)
    return moments_among(people, cut(trained.config.dataset, people.events).codes == C)


def told(metric: str, bundle: Bundle) -> Counts:
    """Values by input and bin, read back from Prometheus's own text format."""
    families = text_string_to_metric_families(prometheus_client.generate_latest().decode())
    samples = (one for family in families for one in family.samples if one.name == metric)
    return {
        (one.labels["input"], int(one.labels["bin"])): one.value
        for one in samples
        if one.labels["bundle"] == bundle.name
    }


def drift_after(bundle: Bundle, answered: Sequence[Moment]) -> dict[str, float]:
    """The index by input of what these answers added, worked out as deploy/prometheus/drift.yml does."""
    tell_references([bundle])
    before, watch = told("tailorbird_inputs_total", bundle), InputWatch()
    for one in answered:
        watch.add(bundle, one.person, one.moment)
        watch.look()
    counts = {key: value - before[key] for key, value in told("tailorbird_inputs_total", bundle).items()}
    shares = told("tailorbird_input_reference_share", bundle)
    assert set(counts) == set(shares), "a bin without an answer counts, too"
    found = {}
    for name in bundle.inputs:
        places = sorted(place for at, place in shares if at == name)
        both = [np.array([one[name, place] for place in places]) for one in (shares, counts)]
        found[name] = psi_of_counts(*both)
    return found


def test_the_trainings_own_people_do_not_drift(bundle: Bundle, moments: list[Moment]) -> None:
    found = drift_after(bundle, moments)
    assert {"history length", "last event type", "context hour", "context device", "user gender"} <= set(found)
    assert "context weekday" not in found, "a day's answers are all of one"
    assert max(found.values()) < 0.1, found


def test_other_people_stand_out_by_the_inputs_in_which_they_are_others(bundle: Bundle, moments: list[Moment]) -> None:
    def other(one: Moment) -> Moment:
        attributes = {name: value for name, value in one.person.attributes.items() if name != "gender"}
        return one._replace(person=replace(one.person, context={"device": "fridge"}, attributes=attributes))

    found = drift_after(bundle, [other(one) for one in moments])
    assert {name for name, value in found.items() if value > 0.25} == {
        "context device",
        "user gender",
        *(f"context {one.name}" for one in bundle.schema.context_fields),
    }


def test_strangers_move_the_length_of_histories_alone(bundle: Bundle, moments: list[Moment]) -> None:
    one = moments[0]
    stranger = replace(one.person, events=type(one.person.events)(), attributes={}, changes={})
    told_of = set(input_codes(bundle.schema, stranger, one.moment, bundle.settings.max_events))
    known = set(input_codes(bundle.schema, one.person, one.moment, bundle.settings.max_events))
    assert told_of < known
    assert {name for name in told_of if not name.startswith("context ")} == {"history length"}


def test_a_code_says_what_the_person_is(bundle: Bundle, moments: list[Moment]) -> None:
    schema, one = bundle.schema, moments[-1]
    codes = input_codes(schema, one.person, one.moment, bundle.settings.max_events)
    gender = next(field for field in schema.user_fields if field.name == "gender")
    assert gender.describe(codes["user gender"]) == one.person.attributes["gender"]
    assert codes["history length"] == len(one.person.events).bit_length()
    assert schema.types[codes["last event type"] - 2] == one.person.events.types[-1]


def test_what_waits_has_a_bound(pipeline: Pipeline) -> None:
    watch, bundle = InputWatch(), pipeline.bundle
    for _ in range(10 * MOST_AT_ONCE):
        watch.add(bundle, Person(), 0)
    assert len(watch._answered) == MOST_AT_ONCE


class Counted:
    """A desk over the trained bundle, and how many of its answers were counted."""

    def __init__(self, pipeline: Pipeline, state: State, item_log: ItemLog, rules: ConsentRules) -> None:
        self.pipeline = pipeline
        self.desk = Desk(pipeline, state, item_log, consent=rules)
        tell_references([pipeline.bundle])
        self.before = self.total()

    def total(self) -> float:
        self.desk_looks()
        counts = told("tailorbird_inputs_total", self.pipeline.bundle)
        return sum(value for (name, _), value in counts.items() if name == "history length")

    def desk_looks(self) -> None:
        self.desk.inputs.look()

    @property
    def answers(self) -> float:
        return self.total() - self.before


@pytest.fixture
def counted(pipeline: Pipeline, state: State, item_log: ItemLog, agreed: ConsentRules) -> Counted:
    return Counted(pipeline, state, item_log, agreed)


def test_lists_and_orders_count_once_and_their_next_pages_not(counted: Counted) -> None:
    first = counted.desk.recommend(RecommendRequest(user_id="u", k=2), "r1")
    assert counted.answers == 1
    counted.desk.recommend(RecommendRequest(user_id="u", k=2, after="r1"), "r2")
    assert counted.answers == 1
    counted.desk.rank(RankRequest(user_id="u", item_ids=[one.item_id for one in first.items]), "r3")
    assert counted.answers == 2
    counted.desk.lists([RecommendRequest(user_id="u", k=2)], "r4")
    assert counted.answers == 2, "a list for many people is asked for by nobody"


def test_whoever_does_not_allow_measuring_is_not_counted_and_nobody_is(
    counted: Counted, pipeline: Pipeline, state: State, item_log: ItemLog
) -> None:
    state.declare("u", None, [Statement("consent", "measure", "denied", 1, "a test")])
    counted.desk.recommend(RecommendRequest(user_id="u"), "r1")
    assert counted.answers == 0
    strict = Counted(pipeline, state, item_log, ConsentRules())
    strict.desk.recommend(RecommendRequest(user_id="never asked"), "r2")
    strict.desk.rank(RankRequest(anonymous_id="a", item_ids=["i00001"]), "r3")
    assert strict.answers == 0
    strict.desk.recommend(RecommendRequest(), "r4")
    assert strict.answers == 1


def test_an_answer_without_the_store_says_nothing_of_who_comes(
    counted: Counted, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.errors import StateError

    def gone(*_: Any, **__: Any) -> Any:
        raise StateError("the store is gone")

    monkeypatch.setattr(state, "statements", gone)
    assert counted.desk.recommend(RecommendRequest(user_id="u"), "r1").degraded == ["state"]
    assert counted.answers == 0


def test_a_bundle_from_before_references_has_no_figure_and_answers(
    pipeline: Pipeline, state: State, item_log: ItemLog, agreed: ConsentRules
) -> None:
    old = replace(pipeline.bundle, inputs={}, manifest={**pipeline.bundle.manifest, "fingerprint": "before" * 4})
    desk = Desk(Pipeline(old), state, item_log, consent=agreed)
    tell_references([old])
    state.append([StoredEvent("e", "i00001", "view", 1, "u")])
    assert desk.recommend(RecommendRequest(user_id="u", k=1), "r1").items
    desk.inputs.look()
    assert told("tailorbird_inputs_total", old) == told("tailorbird_input_reference_share", old) == {}

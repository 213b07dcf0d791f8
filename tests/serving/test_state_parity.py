"""The service's person is the trainer's person: loaded from the same tables, both get the same list, bit for bit."""

from typing import Any

import numpy as np
import pytest

from features.moments import to_text
from features.people import People
from serving.answers import Query
from serving.api.requests import RecommendRequest
from serving.desk.desk import Desk
from serving.pipeline import Pipeline
from serving.retrieval.sources import Popular
from serving.situation import situation
from serving.state import ItemLog, load_tables_into_state, open_state
from serving.state.protocol import State


@pytest.fixture(scope="module")
def loaded(trained: Any) -> State:
    state = open_state("sqlite://:memory:")
    load_tables_into_state(state, trained.tables)
    return state


def test_the_record_of_each_person_is_the_same(trained: Any, loaded: State) -> None:
    dataset = trained.config.dataset
    people = People(dataset, trained.tables)
    exposures = [name for name, kind in dataset.types.items() if kind.sign == "exposure"]
    assert exposures
    for user in people.user_ids:
        here, there = loaded.person(user, without=exposures), people.person(user)
        assert list(here.events.item_ids) == list(there.events.item_ids)
        assert list(here.events.types) == list(there.events.types)
        np.testing.assert_array_equal(here.events.moments, there.events.moments)
        np.testing.assert_array_equal(here.events.values, there.events.values)
        assert here.events.contexts == there.events.contexts
        assert here.taken is not None
        assert there.taken is not None
        assert set(zip(*here.taken, strict=True)) == set(zip(*there.taken, strict=True))


def test_the_service_gives_the_list_that_training_and_batch_give(
    trained: Any, pipeline: Pipeline, loaded: State, item_log: ItemLog
) -> None:
    """Everybody at three moments; the items, their order, scores and probabilities to the last bit."""
    people = People(trained.config.dataset, trained.tables)
    desk = Desk(pipeline, loaded, item_log)
    end = int(people.events.moments.max())
    compared, winners = 0, set[str]()
    for user in people.user_ids:
        answer = pipeline.recommend(people.person(user), Query(k=10), end)
        request = RecommendRequest.model_validate({"user_id": user, "k": 10, "context": {"time": to_text(end)}})
        reply = desk.recommend(request, "r")
        wanted = [(one.item_id, one.score, one.probabilities) for one in answer.items]
        assert [(one.item_id, one.score, one.probabilities) for one in reply.items] == wanted
        if len(people.person(user).events) >= 5:
            compared += 1
            winners |= {one.sources[0] for one in answer.items}
            popular = Popular().retrieve(situation(pipeline.bundle, people.person(user), end), 10)
            assert [one.item_id for one in answer.items] != [pipeline.bundle.schema.items.id_of(row) for row in popular]
    assert compared >= 100
    assert len(winners) >= 3, "three sources at least win places"

"""Answers that must do without something: the order in which stages go, and a store that is gone and comes back."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import numpy as np
import pytest

from features.consent import ConsentRules
from features.errors import StateError
from features.person import Events, Person
from serving.answers import Query, Stage
from serving.api.requests import EventsRequest, RecommendRequest
from serving.budget import Deadline, UsualTimes
from serving.desk.breaker import Breaker
from serving.desk.desk import Desk
from serving.pipeline import Pipeline
from serving.plan import Plan
from serving.ranking.blend import blend
from serving.ranking.ranker_inputs import PERSONAL
from serving.retrieval.candidates import Candidates, retrieve
from serving.retrieval.sources import SOURCES
from serving.situation import situation
from serving.state import ItemLog, open_item_log, open_state
from serving.state.protocol import State

NAMES = [source.name for source in SOURCES]


class Only:
    """A budget that has time for these stages alone."""

    def __init__(self, *stages: Stage) -> None:
        self.stages = stages

    def allows(self, stage: Stage) -> bool:
        return stage in self.stages


@pytest.fixture(scope="module")
def moment(pipeline: Pipeline) -> int:
    return pipeline.bundle.statistics.newest


@pytest.fixture(scope="module")
def person(pipeline: Pipeline, moment: int) -> Person:
    """Somebody who viewed three items."""
    items = [pipeline.bundle.schema.items.id_of(row) for row in (5, 9, 14)]
    return Person(Events(items, ["view"] * 3, moment - np.arange(3)[::-1], np.full(3, np.nan, dtype=np.float32)))


def test_stages_go_in_order(pipeline: Pipeline, person: Person, moment: int) -> None:
    whole = pipeline.recommend(person, Query(k=5, explain=True, budget=Only("explanations", "ranker")), moment)
    assert whole.degraded == ()
    assert whole.items == pipeline.recommend(person, Query(k=5, explain=True), moment).items
    unexplained = pipeline.recommend(person, Query(k=5, explain=True, budget=Only("ranker")), moment)
    assert unexplained.degraded == ("explanations",)
    assert unexplained.items == pipeline.recommend(person, Query(k=5), moment).items
    unranked = pipeline.recommend(person, Query(k=5, explain=True, budget=Only("explanations")), moment)
    assert unranked.degraded == ("explanations", "ranker")
    assert [one.probabilities for one in unranked.items] == [{}] * 5
    assert not any(one.reasons for one in unranked.items)
    assert pipeline.recommend(person, Query(k=5, budget=Only()), moment).degraded == ("ranker",)


def test_without_the_ranker_the_order_is_the_blend(pipeline: Pipeline, person: Person, moment: int) -> None:
    answer = pipeline.recommend(person, Query(k=500, budget=Only()), moment)
    here = situation(pipeline.bundle, person, moment)
    candidates = retrieve(here, 500)
    ids = [pipeline.bundle.schema.items.id_of(row) for row in candidates.rows.tolist()]
    best = dict(zip(ids, blend(candidates).tolist(), strict=True))
    assert [one.score for one in answer.items] == sorted(best.values(), reverse=True)
    assert all(best[one.item_id] == one.score for one in answer.items)
    given = pipeline.rank(person, [one.item_id for one in answer.items[::-1]], Query(budget=Only()), moment)
    assert given.degraded == ("ranker",)
    assert [one.score for one in given.items] == sorted((one.score for one in given.items), reverse=True)


def test_the_last_of_a_personal_source_beats_all_others() -> None:
    ranks = np.zeros((3, len(NAMES)), dtype=np.int64)
    ranks[0, NAMES.index(PERSONAL[0])] = 2000
    ranks[1, [NAMES.index(name) for name in NAMES if name not in PERSONAL]] = 1
    personal, impersonal, unknown = blend(Candidates(np.arange(3), ranks)).tolist()
    assert personal > impersonal > unknown == 0


def test_nobody_without_a_budget_loses_anything() -> None:
    plan = Plan(None, explain=True)
    assert plan.ranks()
    assert plan.explains()
    assert plan.degraded == ()


def test_a_stage_begins_while_there_is_time_for_it() -> None:
    now, usual = [0.0], UsualTimes()
    budget = Deadline(1.0, usual, clock=lambda: now[0])
    assert budget.allows("ranker")
    usual.learn("ranker", 100)
    now[0] = 0.79
    assert budget.allows("ranker")
    now[0] = 0.81
    assert not budget.allows("ranker")
    assert budget.allows("explanations")
    now[0] = 1.01
    assert not budget.allows("explanations")


def test_one_slow_answer_does_not_end_a_stage_for_good() -> None:
    usual = UsualTimes()
    usual.learn("ranker", 5_000)
    tries = (Deadline(0.2, usual, clock=lambda: 0.0).allows("ranker") for _ in range(200))
    assert any(tries)


def test_a_late_answer_says_so(pipeline: Pipeline) -> None:
    desk = Desk(pipeline, open_state("sqlite://:memory:"), open_item_log("sqlite://:memory:"))
    reply = desk.recommend(RecommendRequest(k=2, explain=True), "r", until=time.perf_counter() - 1)
    content = msgspec.to_builtins(reply)
    assert content["degraded"] == ["explanations", "ranker"]
    assert set(content["items"][0]) == {"item_id", "title", "score", "source"}
    assert "timings" in content
    assert desk.recommend(RecommendRequest(k=2, explain=True), "r").degraded is None


def test_a_breaker_spares_the_wait_and_tries_again() -> None:
    now, asked = [0.0], []
    breaker = Breaker(pause=1.0, clock=lambda: now[0])

    def ask() -> str:
        asked.append(now[0])
        if now[0] < 1.5:
            raise StateError("gone")
        return "here"

    for now[0] in (0.0, 0.5, 1.2, 1.6):
        with pytest.raises(StateError):
            breaker.call(ask)
    now[0] = 2.3
    assert [breaker.call(ask), breaker.call(ask)] == ["here", "here"]
    assert asked == [0.0, 1.2, 2.3, 2.3]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path}/state.db", patience=0.2, read_patience=0.05)
    yield opened
    opened.close()


def event(number: int) -> dict[str, Any]:
    return {"event_id": f"e{number}", "user_id": "ann", "item_id": f"i{number}", "type": "view"}


def hide(folder: Path) -> None:
    """Move the store away, as somebody who restores a backup does."""
    for file in folder.glob("state.db*"):
        file.rename(file.with_name(f"hidden-{file.name}"))


def bring_back(folder: Path) -> None:
    for file in folder.glob("hidden-*"):
        file.rename(file.with_name(file.name.removeprefix("hidden-")))


def test_a_store_that_is_gone_is_missed_and_found_again(
    run_door: Callable[..., str], stand_in: Any, store: State, item_log: ItemLog, agreed: ConsentRules, tmp_path: Path
) -> None:
    url = run_door(lambda: Desk(cast("Pipeline", stand_in), store, item_log, consent=agreed), deadline_ms=1_000)
    with httpx.Client(base_url=url, timeout=20) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)

        def recommend() -> dict[str, Any]:
            start = time.perf_counter()
            response = client.post("/v1/recommend", json={"user_id": "ann", "k": 1})
            assert response.status_code == 200, response.text
            assert time.perf_counter() - start < 1
            return {key: value for key, value in response.json().items() if key in ("items", "degraded")}

        assert client.post("/v1/events", json={"events": [event(4)]}).json()["stored"] == 1
        whole = recommend()
        assert whole["items"][0]["item_id"] == "i5"
        hide(tmp_path)
        lost = recommend()
        assert lost["degraded"] == ["state"]
        assert lost["items"][0]["item_id"] == "i0"
        refused = client.post("/v1/events", json={"events": [event(9)]})
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "state_unavailable"
        assert refused.headers["retry-after"] == "1"
        assert client.get("/readyz").json()["degraded"] == ["state"]
        assert client.post("/v1/profile", json={"user_id": "ann"}).status_code == 503
        bring_back(tmp_path)
        wait_until(lambda: recommend() == whole)
        assert "degraded" not in client.get("/readyz").json()
        assert client.post("/v1/events", json={"events": [event(9)]}).json()["stored"] == 1
        assert recommend()["items"][0]["item_id"] == "i10"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited for 10 seconds in vain"
        time.sleep(0.01)


def test_another_file_under_the_name_is_the_store_from_then_on(
    stand_in: Any, store: State, item_log: ItemLog, agreed: ConsentRules, tmp_path: Path
) -> None:
    desk = Desk(cast("Pipeline", stand_in), store, item_log, consent=agreed)
    assert desk.events(EventsRequest(events=[event(1)]), "r").stored == 1
    hide(tmp_path)
    other = open_state(f"sqlite:///{tmp_path}/state.db")
    assert desk.events(EventsRequest(events=[event(2)]), "r").stored == 1
    assert list(other.person("ann").events.item_ids) == list(store.person("ann").events.item_ids) == ["i2"]
    other.close()


def test_a_locked_store_costs_no_more_than_its_patience(
    stand_in: Any, store: State, item_log: ItemLog, agreed: ConsentRules, tmp_path: Path
) -> None:
    desk = Desk(cast("Pipeline", stand_in), store, item_log, consent=agreed)
    thief = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    thief.execute("BEGIN IMMEDIATE")
    start = time.perf_counter()
    with pytest.raises(StateError, match="locked"):
        desk.events(EventsRequest(events=[event(1)]), "r")
    assert time.perf_counter() - start < 2
    assert desk.recommend(RecommendRequest(user_id="ann"), "r").degraded is None, "readers pass a writer by"
    thief.execute("ROLLBACK")
    thief.close()
    assert desk.events(EventsRequest(events=[event(1)]), "r").stored == 1

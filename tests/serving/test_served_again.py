"""From a served row and the log of events, the ranker's input is made again and is the same to the bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from features.consent import ConsentRules
from features.errors import StateError
from features.moments import DAY, HOUR, SECOND, to_text
from features.preferences import Category, Declared, Preferences, declaration
from features.statements import Statement
from serving.api.requests import EventsRequest, RecommendRequest
from serving.bundle import open_bundle
from serving.desk.desk import Desk
from serving.events.again import person_then, query_then
from serving.filters import FilterReader
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import ranker_rows
from serving.retrieval.candidates import retrieve
from serving.situation import situation
from serving.state import EventLog, load_tables_into_state, open_event_log, open_item_log, open_state

ALLOWED = ConsentRules.parse(
    {
        name: {"unknown": "granted", "basis": "a test"}
        for name in ("measure", "personalize", "train", "share_demographics")
    }
)


class Shop(NamedTuple):
    desk: Desk
    log: EventLog
    now: list[int]


@pytest.fixture
def shop(trained: Any, tmp_path: Path) -> Iterator[Shop]:
    url = f"sqlite:///{tmp_path}/state.db"
    state = open_state(url)
    load_tables_into_state(state, trained.tables)
    newest = state.newest_event()
    assert newest is not None
    now = [newest + 60 * SECOND]
    items = open_item_log(url)
    desk = Desk(Pipeline(open_bundle(trained.bundle)), state, items, clock=lambda: now[0], consent=ALLOWED)
    shop = Shop(desk, open_event_log(url), now)
    yield shop
    shop.log.close()
    desk.close()


def inputs(desk: Desk, person: Any, query: Any, moment: int) -> Any:
    here = situation(desk.pipeline.bundle, person, moment, query.exclude)
    return ranker_rows(here, retrieve(here, query.k))


def test_what_was_served_is_computed_again_to_the_bit(shop: Shop) -> None:
    desk, log, now = shop
    item = desk.schema.items.ids[3]
    for number, user in enumerate([*list(desk.state.user_ids())[:4], "a stranger"]):
        inline = {"item_id": item, "type": "view", "context": {"device": "tv"}}
        request = RecommendRequest.model_validate(
            {"user_id": user, "k": 7, "exclude": [item], "context": {"device": "phone"}, "events": [inline]}
        )
        asked = desk.asking(request)
        reply = desk.recommend(request, f"r{number}")
        reply_2 = desk.recommend(RecommendRequest(user_id=user, k=3, after=f"r{number}"), f"s{number}")
        desk.served.flush()  # type: ignore[union-attr]
        now[0] += HOUR
        late = {"event_id": f"late{number}", "user_id": user, "item_id": item, "type": "view"}
        posted = [{**late, "time": to_text(now[0] - 2 * HOUR)}, {**late, "event_id": f"new{number}"}]
        assert desk.events(EventsRequest(events=posted), "r").stored == 2

        for request_id, given, answered in ((f"r{number}", 0, reply), (f"s{number}", 7, reply_2)):
            row = desk.state.served_log.find(request_id, user)
            assert row is not None
            person, query = (
                person_then(row, desk.state, log, desk.schema.dataset, ALLOWED),
                query_then(row, FilterReader(desk.schema.dataset)),
            )
            again = desk.pipeline.recommend(person, query, row.answered_for)
            assert [(one.item_id, one.score) for one in again.items[given:]] == [
                (one.item_id, one.score) for one in row.items
            ]
            assert [(one.item_id, one.score) for one in row.items] == [
                (one.item_id, one.score) for one in answered.items
            ]
        first = desk.state.served_log.find(f"r{number}", user)
        assert first is not None
        then = inputs(desk, asked.person, query_then(first, FilterReader(desk.schema.dataset)), asked.moment)
        made = inputs(
            desk,
            person_then(first, desk.state, log, desk.schema.dataset, ALLOWED),
            query_then(first, FilterReader(desk.schema.dataset)),
            first.answered_for,
        )
        for name, array in then._asdict().items():
            np.testing.assert_array_equal(getattr(made, name), array, err_msg=name)


def said(desk: Desk, user: str, now: int) -> list[Statement]:
    """Of everything something: a hidden item for a day, a pinned and a disliked category, and a list half personal."""
    column: Any = desk.pipeline.bundle.filterable.items.attributes.columns["category"]
    first, second = (Category("category", column.texts[place]) for place in (0, 1))
    item = desk.lists([RecommendRequest(user_id=user, k=1)], "look")[0].items[0].item_id
    wanted = [Declared(item, "hide", now + DAY), Declared(first, "pin", None), Declared(second, "dislike", None)]
    return [declaration(one, now, "person") for one in (*wanted, Declared(None, 0.5, None))]


def consent(purpose: str, answer: str, now: int) -> list[Statement]:
    return [Statement("consent", purpose, answer, now, "person")]


def test_what_people_declared_then_is_computed_again_to_the_bit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preferences, demographics that are not shared, and consent that was withdrawn; then all of it changes."""
    desk, log, now = shop
    users, made = [user for user in desk.state.user_ids() if user.startswith("u")][:3], []
    for number, user in enumerate(users):
        for step in range(5):
            now[0] += HOUR
            match step:
                case 1:
                    desk.state.declare(user, None, said(desk, user, now[0]))
                case 2:
                    desk.state.declare(user, None, consent("share_demographics", "denied", now[0]))
                case 3 | 4:
                    answer = "denied" if step == 3 else "granted"
                    desk.state.declare(user, None, consent("personalize", answer, now[0]))
            request = RecommendRequest(user_id=user, k=5)
            request_id = f"p{number}.{step}"
            made.append((request_id, user, desk.asking(request), desk.recommend(request, request_id)))
    with monkeypatch.context() as patch:
        patch.setattr(desk, "_permitted", lambda *_: (_ for _ in ()).throw(StateError("it is away")))
        away = RecommendRequest(user_id=users[0], k=5)
        made.append(("away", users[0], desk.asking(away), desk.recommend(away, "away")))
    desk.served.flush()  # type: ignore[union-attr]
    now[0] += DAY
    for user in users:
        desk.state.declare(user, None, [declaration(Declared(None, 0.0, None), now[0], "person")])
        desk.state.declare(user, None, consent("share_demographics", "granted", now[0]))

    answers = set()
    for request_id, user, asked, reply in made:
        row = desk.state.served_log.find(request_id, user)
        assert row is not None
        person, query = (
            person_then(row, desk.state, log, desk.schema.dataset, ALLOWED),
            query_then(row, FilterReader(desk.schema.dataset)),
        )
        assert person.preferences == asked.person.preferences
        for name, array in inputs(desk, asked.person, query, asked.moment)._asdict().items():
            again = getattr(inputs(desk, person, query, row.answered_for), name)
            np.testing.assert_array_equal(again, array, err_msg=f"{request_id} {name}")
        listed = [(one.item_id, one.score) for one in desk.pipeline.recommend(person, query, row.answered_for).items]
        assert listed == [(one.item_id, one.score) for one in reply.items]
        answers.add(tuple(listed))
    strengths = [asked.person.preferences.strength for _, _, asked, _ in made]
    assert strengths[:5] == [1.0, 0.5, 0.5, 1.0, 0.5]
    assert (len(made[-1][2].person.events), made[-1][2].person.preferences) == (0, Preferences())
    assert made[3][2].person.preferences == Preferences(hidden_items=made[3][2].person.preferences.hidden_items)
    assert len(answers) >= 8

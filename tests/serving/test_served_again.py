"""From a served row and the log of events, the ranker's input is made again and is the same to the bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from features.consent import ConsentRules
from features.moments import HOUR, SECOND, to_text
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
    exposures = [name for name, kind in desk.schema.dataset.types.items() if kind.sign == "exposure"]
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
                person_then(row, desk.state, log, exposures),
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
            person_then(first, desk.state, log, exposures),
            query_then(first, FilterReader(desk.schema.dataset)),
            first.answered_for,
        )
        for name, array in then._asdict().items():
            np.testing.assert_array_equal(getattr(made, name), array, err_msg=name)

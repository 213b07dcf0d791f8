"""The log of what was served: filled beside the request, lost by nothing but a kill, and continued page by page."""

from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.consent import OPT_IN, ConsentRules
from features.errors import RequestError, StateError
from features.moments import to_moment
from features.statements import Statement
from serving.api.replies import ListReply
from serving.api.requests import BatchRequest, EventsRequest, RankRequest, RecommendRequest
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.events import served
from serving.events.served import Served
from serving.metrics import SERVED_LOST
from serving.pipeline import Pipeline
from serving.state import open_item_log, open_state
from serving.state.protocol import State, everyone
from serving.state.served_log import ServedRow

NOW = to_moment("2026-01-01T00:00:00Z")
ALLOWED = ConsentRules.parse({name: {"unknown": "granted", "basis": "a test"} for name in ("measure", "personalize")})


@pytest.fixture
def measured(stand_in: Any, state: State, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk that may log everybody's answers, and does not wait for another worker's."""
    monkeypatch.setattr(served, "FLUSH_SECONDS", 0.0)
    return another(stand_in, state)


def another(stand_in: Any, state: State, consent: ConsentRules = ALLOWED, **given: Any) -> Desk:
    log = open_item_log("sqlite://:memory:")
    return Desk(cast("Pipeline", stand_in), state, log, clock=lambda: NOW, consent=consent, **given)


def ask(desk: Desk, request_id: str, **request: Any) -> ListReply:
    return desk.recommend(RecommendRequest.model_validate(request), request_id)


def ids(reply: ListReply) -> list[str]:
    return [item.item_id for item in reply.items]


def rows(desk: Desk) -> list[ServedRow]:
    assert desk.served is not None
    desk.served.flush()
    return [one.row for one in desk.state.served_log.after(0, 1000)]


def test_an_answer_is_logged_with_all_that_it_was_made_from(measured: Desk) -> None:
    view = {"event_id": "e1", "user_id": "ann", "item_id": "i3", "type": "view"}
    measured.events(EventsRequest(events=[view]), "r0")
    inline = {"item_id": "i5", "type": "view", "time": "2025-12-31T23:00:00Z"}
    context = {"device": "tv", "time": "2026-01-01T00:00:05Z"}
    reply = ask(measured, "r1", user_id="ann", k=2, exclude=["i4"], context=context, events=[inline])
    (row,) = rows(measured)
    assert [(one.item_id, one.score, one.source) for one in row.items] == [
        (one.item_id, one.score, one.source) for one in reply.items
    ]
    assert (row.request_id, row.user_id, row.bundle, row.placement) == ("r1", "ann", "standin", "default")
    assert (row.policy, row.propensity, row.moment, row.answered_for) == ("ranker", None, NOW, NOW + 5_000)
    assert row.seen == 1
    assert row.query["exclude"] == ["i4"]
    assert row.query["context"] == {"device": "tv"}
    assert row.query["events"] == [["", "i5", "view", NOW - 3_600_000, None, None]]


def test_given_lists_are_logged_and_batches_are_not(measured: Desk) -> None:
    measured.rank(RankRequest(user_id="ann", item_ids=["i2", "i1"]), "r1")
    list(recommend_batch(measured, BatchRequest(user_ids=["ann", "bob"], k=1), "r2"))
    (row,) = rows(measured)
    assert (row.request_id, row.placement, [one.item_id for one in row.items]) == ("r1", "rank", ["i1", "i2"])


def test_nothing_is_logged_of_who_did_not_agree_nor_when_switched_off(stand_in: Any, state: State) -> None:
    strict, off = another(stand_in, state, OPT_IN), another(stand_in, state, log_served=False)
    state.declare("ann", None, [Statement("consent", "measure", "granted", NOW, "person")])
    for user in ("ann", "bob"):
        ask(strict, f"r-{user}", user_id=user)
        ask(off, f"off-{user}", user_id=user)
    assert [row.request_id for row in rows(strict)] == ["r-ann"]
    assert off.served is None
    assert list(state.user_ids()) == ["ann"]


def test_pages_follow_each_other_as_one_long_list(measured: Desk) -> None:
    whole = ids(ask(measured, "r0", user_id="ann", k=11))
    first = ids(ask(measured, "r1", user_id="ann", k=4))
    second = ids(ask(measured, "r2", user_id="ann", k=4, after="r1"))
    third = ids(ask(measured, "r3", user_id="ann", k=3, after="r2"))
    assert [*first, *second, *third] == whole


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.lists(st.integers(0, 29), max_size=4), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_chain_of_pages_gives_anything_twice(
    stand_in: Any, sizes: list[int], acts: list[int], flushed: bool
) -> None:
    store = open_state("sqlite://:memory:")
    desk, given_items, after = another(stand_in, store), list[str](), dict[str, str]()
    for page, k in enumerate(sizes):
        given_items += ids(ask(desk, f"r{page}", user_id="ann", k=k, **after))
        after = {"after": f"r{page}"}
        if page < len(acts):
            view = {"event_id": f"e{page}", "user_id": "ann", "item_id": f"i{acts[page]}", "type": "view"}
            desk.events(EventsRequest(events=[view]), "r")
        if flushed and desk.served:
            desk.served.flush()
    assert len(given_items) == len(set(given_items)) == min(sum(sizes), 30)
    store.close()


def test_the_last_page_says_why_it_is_short(measured: Desk) -> None:
    ask(measured, "r1", user_id="ann", k=25)
    last = ask(measured, "r2", user_id="ann", k=10, after="r1")
    assert last.shortfall is not None
    assert (len(last.items), last.shortfall.wanted, last.shortfall.given) == (5, 10, 5)


def test_a_page_is_found_by_any_worker_once_it_is_written(measured: Desk, stand_in: Any) -> None:
    other = another(stand_in, measured.state)
    ask(measured, "r1", user_id="ann", k=2, exclude=["i0"])
    with pytest.raises(RequestError):
        ask(other, "r2", user_id="ann", after="r1")
    rows(measured)
    assert ids(ask(other, "r3", user_id="ann", k=2, after="r1")) == ["i3", "i4"]


def test_another_worker_waits_a_moment_for_a_list_that_is_still_being_written(
    measured: Desk, stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(stand_in, measured.state)
    ask(measured, "r1", user_id="ann", k=2)
    monkeypatch.setattr("serving.events.served.time.sleep", lambda _: rows(measured))
    assert ids(ask(other, "r2", user_id="ann", k=2, after="r1")) == ["i2", "i3"]


def test_a_page_answers_the_question_of_the_first(measured: Desk, stand_in: Any) -> None:
    context = {"weather": "rain", "time": "2026-01-01T00:00:05Z"}
    inline = {"item_id": "i5", "type": "view", "context": {"weather": "snow"}}
    ask(measured, "r1", user_id="ann", k=2, context=context, events=[inline])
    ask(measured, "r2", user_id="ann", k=2, after="r1")
    (first, moment), (second, later) = stand_in.asked
    assert moment == later == NOW + 5_000
    assert second.context == first.context == {"weather": "rain"}
    assert second.events.item_ids == first.events.item_ids == ["i5"]
    assert second.events.contexts == [{"weather": "snow"}]


def test_a_login_between_two_pages_changes_nothing(measured: Desk) -> None:
    first = ids(ask(measured, "r1", anonymous_id="cookie", k=3))
    rows(measured)
    measured.state.link("cookie", "ann")
    assert not set(first) & set(ids(ask(measured, "r2", user_id="ann", k=3, after="r1")))


@pytest.mark.parametrize("asker", [{"user_id": "bob"}, {"anonymous_id": "ann"}, {}])
@pytest.mark.parametrize("written", [True, False])
def test_the_list_of_another_person_is_not_continued(measured: Desk, asker: dict[str, str], written: bool) -> None:
    ask(measured, "r1", user_id="ann")
    if written:
        rows(measured)
    for unknown in ("r1", "r9"):
        with pytest.raises(RequestError, match="no list of this person") as told:
            ask(measured, "r2", after=unknown, **asker)
        assert told.value.field == "after"


def test_a_given_list_has_no_next_page(measured: Desk) -> None:
    measured.rank(RankRequest(user_id="ann", item_ids=["i2"]), "r1")
    with pytest.raises(RequestError, match="no list of this person"):
        ask(measured, "r2", user_id="ann", after="r1")


def test_too_many_pages_are_refused(measured: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.events.pages.MAX_EXCLUDED", 5)
    ask(measured, "r1", user_id="ann", k=6)
    with pytest.raises(RequestError, match="more than 5 items"):
        ask(measured, "r2", user_id="ann", after="r1")


@pytest.mark.parametrize("more", [{"filter": "price < 3"}, {"context": {}}, {"events": []}])
def test_a_page_cannot_ask_something_else(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="first page"):
        RecommendRequest.model_validate({"user_id": "ann", "after": "r1", **more})


class Unwilling:
    """A log that does not answer until it is told to."""

    def __init__(self) -> None:
        self.answers = False
        self.rows: list[ServedRow] = []

    def add(self, rows: list[ServedRow], admit: Any) -> int:
        if not self.answers:
            raise StateError("no")
        self.rows += rows
        return len(rows)


def test_answers_wait_for_a_store_and_are_counted_when_they_are_too_many(
    measured: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "MOST_WAITING", 2)
    log = Unwilling()
    measured.served = waiting = Served(cast("Any", log), lambda: everyone)
    lost = SERVED_LOST._value.get()
    for number in range(3):
        ask(measured, f"r{number}", user_id="ann")
    with pytest.raises(StateError):
        waiting.flush()
    log.answers = True
    waiting.flush()
    waiting.flush()
    assert [row.request_id for row in log.rows] == ["r0", "r1"]
    assert SERVED_LOST._value.get() == lost + 1


@pytest.fixture
def closing(stand_in: Any, tmp_path: Any) -> tuple[Desk, str]:
    url = f"sqlite:///{tmp_path}/state.db"
    return another(stand_in, open_state(url)), url


def test_what_waits_is_written_when_the_worker_ends(closing: tuple[Desk, str]) -> None:
    desk, url = closing
    ask(desk, "r1", user_id="ann")
    desk.close()
    later = open_state(url)
    assert later.served_log.newest() == 1
    later.close()

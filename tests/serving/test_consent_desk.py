"""Consent at the desk: what is stored, what an answer may know, and that a withdrawal acts on the next request."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from features.consent import ConsentRules, Purpose
from features.errors import RequestError, StateError
from features.moments import HOUR, to_moment
from features.person import NO_CONTEXT, Change, Person
from features.statements import BEGINNING, Statement
from serving.api.requests import BatchRequest, EventsRequest, RankRequest, RecommendRequest
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.person.consent import ConsentReply, ConsentRequest, consent
from serving.person.explain import ExplainRequest, explain
from serving.person.profile import ProfileRequest, profile
from serving.pipeline import Pipeline
from serving.state import ItemLog, State
from serving.state.protocol import StoredEvent, UserAttributes

NOW = to_moment("2026-01-01T00:00:00Z")
EVENT = {"item_id": "i3", "type": "view", "user_id": "ann"}


@pytest.fixture
def strict(stand_in: Any, state: State, item_log: ItemLog) -> Desk:
    """A desk with the rules that hold where nobody configured any: opt-in."""
    return Desk(cast("Pipeline", stand_in), state, item_log, clock=lambda: NOW)


def answer(desk: Desk, user: str | None = "ann", **answers: str) -> ConsentReply:
    return consent(desk, ConsentRequest.model_validate({"user_id": user, "answers": answers}), "r")


def post(desk: Desk, event_id: str, **given: Any) -> str:
    return desk.events(EventsRequest(events=[{**EVENT, "event_id": event_id, **given}]), "r").results[0].status


def seen(desk: Desk, **request: Any) -> Person:
    """The person that the pipeline got for a request."""
    desk.recommend(RecommendRequest.model_validate({"user_id": "ann", **request}), "r")
    return cast("Any", desk.pipeline).asked[-1][0]  # type: ignore[no-any-return]


def nothing_of(person: Person, context: Mapping[str, Any] = NO_CONTEXT) -> bool:
    """Whether a record holds nothing but the circumstances of the request."""
    known = len(person.events) + len(person.taken.item_ids if person.taken else ())
    return known == 0 and not person.attributes and not person.changes and person.context == context


def test_what_live_people_never_answered_is_denied(strict: Desk, state: State) -> None:
    assert post(strict, "e1") == "not_stored"
    reply = strict.recommend(RecommendRequest(user_id="ann"), "r")
    assert reply.not_personal == "unknown"
    assert len(reply.items) > 0
    assert state.export("ann")["user_ids"] == []


@pytest.mark.parametrize("purpose", Purpose)
def test_an_event_is_stored_for_some_purposes(strict: Desk, purpose: Purpose) -> None:
    answer(strict, **{purpose.value: "granted"})
    stores = purpose in ("personalize", "train", "measure")
    assert post(strict, "e1") == ("stored" if stores else "not_stored")


def test_what_became_of_a_batch_is_counted(strict: Desk) -> None:
    answer(strict, personalize="granted")
    events = [{**EVENT, "event_id": "a"}, {**EVENT, "event_id": "b", "user_id": "bob"}, {**EVENT, "event_id": "a"}]
    reply = strict.events(EventsRequest(events=events), "r")
    assert [one.status for one in reply.results] == ["stored", "not_stored", "duplicate"]
    assert (reply.stored, reply.not_stored, reply.duplicate, reply.rejected) == (1, 1, 1, 0)


def test_stored_for_another_purpose_is_not_read_for_a_list(strict: Desk) -> None:
    answer(strict, train="granted")
    assert post(strict, "e1") == "stored"
    assert nothing_of(seen(strict))


def test_a_withdrawal_acts_on_the_next_request(strict: Desk) -> None:
    answer(strict, personalize="granted")
    post(strict, "e1")
    assert list(seen(strict).events.item_ids) == ["i3"]
    assert list(seen(strict, events=[{"item_id": "i5", "type": "view"}]).events.item_ids) == ["i3", "i5"]
    answer(strict, personalize="denied")
    assert post(strict, "e2") == "not_stored"
    context = {"device": "tv"}
    person = seen(strict, events=[{"item_id": "i5", "type": "view"}], context=context)
    assert nothing_of(person, context)
    assert strict.recommend(RecommendRequest(user_id="ann"), "r").not_personal == "denied"
    answer(strict, personalize="granted")
    assert list(seen(strict).events.item_ids) == ["i3"], "what was stored under a grant is theirs still"


def test_nothing_but_the_statements_is_read(strict: Desk, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(strict, personalize="denied")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("something of the person was read")

    for name in ("person", "known", "export"):
        monkeypatch.setattr(state, name, never)
    inline = [{"event_id": "e1", "item_id": "i5", "type": "view"}]
    asked = {"user_id": "ann", "anonymous_id": "cookie", "events": inline}
    assert strict.recommend(RecommendRequest.model_validate(asked), "r").not_personal == "denied"
    ranked = strict.rank(RankRequest.model_validate({**asked, "item_ids": ["i1"]}), "r")
    assert ranked.not_personal == "denied"
    lists = list(recommend_batch(strict, BatchRequest(user_ids=["ann", "bob"]), "r"))
    assert [one.not_personal for one in lists] == ["denied", "unknown"]
    assert all(len(one.items) > 0 for one in lists)


def test_every_worker_knows_of_a_withdrawal(strict: Desk, stand_in: Any, state: State, item_log: ItemLog) -> None:
    """Another desk over the same store, whose clock is behind."""
    other = Desk(cast("Pipeline", stand_in), state, item_log, clock=lambda: NOW - 300_000)
    answer(strict, personalize="granted")
    answer(other, personalize="denied")
    for desk in (strict, other):
        assert desk.recommend(RecommendRequest(user_id="ann"), "r").not_personal == "denied"


def test_the_moment_asked_for_does_not_bring_back_an_old_answer(strict: Desk) -> None:
    consent(
        strict,
        ConsentRequest.model_validate(
            {"user_id": "ann", "answers": {"personalize": "granted"}, "time": "2025-01-01T00:00:00Z"}
        ),
        "r",
    )
    answer(strict, personalize="denied")
    request = RecommendRequest.model_validate({"user_id": "ann", "context": {"time": "2025-06-01T00:00:00Z"}})
    assert strict.recommend(request, "r").not_personal == "denied"


def test_at_a_login_the_stricter_answer_holds(strict: Desk) -> None:
    answer(strict, personalize="granted")
    refused = {"anonymous_id": "cookie", "answers": {"personalize": "denied"}}
    consent(strict, ConsentRequest.model_validate(refused), "r")
    both = RecommendRequest(user_id="ann", anonymous_id="cookie")
    assert strict.recommend(both, "r").not_personal == "denied"
    read = consent(strict, ConsentRequest(user_id="ann", anonymous_id="cookie"), "r")
    assert {one.purpose: one.answer for one in read.purposes}["personalize"] == "denied"
    strict.state.link("cookie", "ann")
    assert strict.recommend(RecommendRequest(user_id="ann"), "r").not_personal == "denied"


def test_consent_is_told_with_its_history(strict: Desk) -> None:
    earlier = {
        "user_id": "ann",
        "answers": {"personalize": "granted", "train": "granted"},
        "source": "banner 3",
        "time": "2025-05-01T10:00:00+02:00",
    }
    consent(strict, ConsentRequest.model_validate(earlier), "r")
    reply = answer(strict, train="denied")
    told = {one.purpose: (one.answer, one.allowed, one.source, one.since) for one in reply.purposes}
    assert list(told) == [*Purpose]
    assert told["personalize"] == ("granted", True, "banner 3", "2025-05-01T08:00:00.000Z")
    assert told["train"] == ("denied", False, "person", "2026-01-01T00:00:00.000Z")
    assert told["marketing"] == ("unknown", False, None, None)
    assert [(one.purpose, one.answer) for one in reply.history] == [
        ("train", "denied"),
        ("train", "granted"),
        ("personalize", "granted"),
    ]


def test_the_rules_of_the_service_say_what_silence_means(stand_in: Any, state: State, item_log: ItemLog) -> None:
    rules = ConsentRules.parse(
        {"personalize": {"unknown": "granted", "basis": "the contract"}, "further": {"newsletter": {}}}
    )
    desk = Desk(cast("Pipeline", stand_in), state, item_log, clock=lambda: NOW, consent=rules)
    assert post(desk, "e1") == "stored"
    assert list(seen(desk).events.item_ids) == ["i3"]
    told = {one.purpose: (one.answer, one.allowed, one.source) for one in answer(desk, newsletter="granted").purposes}
    assert told["personalize"] == ("unknown", True, "the contract")
    assert told["newsletter"] == ("granted", True, "person")
    answer(desk, personalize="denied")
    assert nothing_of(seen(desk))


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        ({"user_id": "ann", "answers": {"track": "granted"}}, "answers.track", "personalize, train, measure"),
        (
            {"user_id": "ann", "answers": {"train": "granted"}, "time": "2026-01-01T00:11:00Z"},
            "time",
            "cannot be given in the future",
        ),
    ],
)
def test_what_cannot_be_an_answer_is_refused_whole(
    strict: Desk, request_: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RequestError) as told:
        consent(strict, ConsentRequest.model_validate(request_), "r")
    assert told.value.field == field
    assert message in str(told.value)
    assert strict.state.statements("ann") == []


def test_of_an_answer_without_a_time_none_is_told(strict: Desk) -> None:
    strict.state.declare("ann", None, [Statement("consent", "train", "granted", BEGINNING, "assumed: clause 7")])
    told = consent(strict, ConsentRequest(user_id="ann"), "r")
    train = next(one for one in told.purposes if one.purpose == "train")
    assert (train.answer, train.since, train.source) == ("granted", None, "assumed: clause 7")
    assert [one.time for one in told.history] == [None]
    assert [one.time for one in profile(strict, ProfileRequest(user_id="ann"), "r").declared] == [None]


def test_a_clock_that_runs_ahead_a_little_answers_now(strict: Desk) -> None:
    ahead = {"user_id": "ann", "answers": {"train": "denied"}, "time": "2026-01-01T00:09:00Z"}
    consent(strict, ConsentRequest.model_validate(ahead), "r")
    assert [one.moment for one in strict.state.statements("ann")] == [NOW]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"answers": {"train": "granted"}}, "give user_id or anonymous_id"),
        ({}, "give user_id or anonymous_id"),
        ({"user_id": "a", "anonymous_id": "b", "answers": {"train": "granted"}}, "given by one"),
        ({"user_id": "a", "answers": {"train": "unknown"}}, "granted"),
        ({"user_id": "a", "answers": {"train": True}}, "granted"),
    ],
)
def test_requests_that_are_nobodys_answer_are_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConsentRequest.model_validate(request_)


def test_while_the_store_does_not_answer_nobody_is_personal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who withdrew is not known then, so that what the request says of them is not used either."""

    def silent(*_: Any, **__: Any) -> Any:
        raise StateError("the store did not answer")

    monkeypatch.setattr(desk.state, "statements", silent)
    inline = [{"item_id": "i5", "type": "view"}]
    assert nothing_of(seen(desk, events=inline))
    reply = desk.recommend(RecommendRequest(user_id="ann"), "r")
    assert (reply.not_personal, reply.degraded) == ("state", ["state"])


@pytest.fixture
def trained_desk(pipeline: Pipeline, state: State, item_log: ItemLog) -> Desk:
    return Desk(pipeline, state, item_log, clock=lambda: NOW)


def items(desk: Desk, user: str | None, **more: Any) -> list[tuple[str, float]]:
    reply = desk.recommend(RecommendRequest.model_validate({"user_id": user, "k": 15, **more}), "r")
    return [(one.item_id, one.score) for one in reply.items]


def test_without_demographics_the_answer_is_that_of_somebody_who_has_none(trained: Any, trained_desk: Desk) -> None:
    """Bit for bit, over the real models; and with them another answer."""
    desk, state = trained_desk, trained_desk.state
    columns = trained.config.dataset.users.columns
    tables = trained.tables
    row = next(
        row for row in range(len(tables.users)) if all(c[row] is not None for c in tables.users.columns.values())
    )
    attributes = {name: str(column[row]) for name, column in tables.users.columns.items()}
    demographics = trained.config.dataset.users.demographics
    assert demographics & set(columns), "the simulated people have some"
    bought = [StoredEvent(f"{user}-{n}", item, "view", NOW - n * HOUR, user)
              for user in ("all", "none") for n, item in enumerate(tables.events.items[:5])]  # fmt: skip
    state.append(bought)
    state.set_attributes([UserAttributes("all", attributes)])
    born = next((name for name, column in columns.items() if column.role == "birth_date"), None)
    if born:
        state.set_attributes([UserAttributes("all", {born: "1950-01-01"})])
    bare = {name: value for name, value in attributes.items() if name not in demographics}
    state.set_attributes([UserAttributes("none", bare)])
    for user in ("all", "none"):
        answer(desk, user, personalize="granted")
    assert items(desk, "all") == items(desk, "none")
    answer(desk, "all", share_demographics="granted")
    shared = items(desk, "all")
    assert shared != items(desk, "none")
    answer(desk, "all", share_demographics="denied")
    assert items(desk, "all") == items(desk, "none")


def test_without_consent_the_list_is_the_strangers(trained: Any, trained_desk: Desk) -> None:
    state = trained_desk.state
    state.append([StoredEvent(f"e{n}", item, "view", NOW - n * HOUR, "ann")
                  for n, item in enumerate(trained.tables.events.items[:5])])  # fmt: skip
    context = {"device": "tv"}
    answer(trained_desk, personalize="denied")
    assert items(trained_desk, "ann", context=context) == items(trained_desk, None, context=context)
    answer(trained_desk, personalize="granted")
    assert items(trained_desk, "ann", context=context) != items(trained_desk, None, context=context)
    answer(trained_desk, personalize="denied")
    told = explain(trained_desk, ExplainRequest(user_id="ann", item_id=str(trained.tables.events.items[0])), "r")
    assert told.not_personal == "denied"


def test_a_mask_takes_changing_attributes_too() -> None:
    person = Person(attributes={"a": 1, "b": 2}, changes={"b": [Change(1, 2)], "c": [Change(1, 3)]})
    masked = person.without_attributes({"b"})
    assert masked.attributes == {"a": 1}
    assert set(masked.changes) == {"c"}

"""What was shown and what came of it: each item of an answer once, of its own person, soon enough, by bundle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from prometheus_client import REGISTRY

from features.consent import ConsentRules
from features.dataset import DatasetConfig
from features.errors import StateError
from features.moments import HOUR
from features.statements import Statement
from serving.api.requests import EventsRequest, RecommendRequest
from serving.desk.desk import Desk
from serving.events import effect_watch
from serving.events.effect import effects_of
from serving.events.effect_watch import EffectWatch
from serving.metrics import BUNDLES
from serving.state import open_event_log, open_state
from serving.state.item_log import ItemLog
from serving.state.protocol import State, StoredEvent
from serving.state.served_log import ServedItem, ServedRow
from serving.telemetry.bundle_series import GONE
from tailorbird import main

NOON = 1_700_000_000_000
MINUTE = 60_000
SIGNS: dict[str, Any] = {"impression": "exposure", "buy": "positive", "skip": "negative"}
DATASET = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {"path": "events.csv", "type": "type"},
        "types": {name: {"sign": sign, "repeat": "always"} for name, sign in SIGNS.items()},
    }
)


def answer(request_id: str, user_id: str | None, items: str = "abc", bundle: str = "b1", **given: Any) -> ServedRow:
    return ServedRow(
        request_id,
        user_id,
        given.get("anonymous_id"),
        moment=NOON,
        answered_for=NOON,
        placement="default",
        items=tuple(ServedItem(one, 1.0, None) for one in items),
        bundle=bundle,
        policy="ranker",
        seen=None,
        query={},
    )


def event(number: int, request_id: str | None, item: str, kind: str, user_id: str, after: int = MINUTE) -> StoredEvent:
    return StoredEvent(f"e{number}", item, kind, NOON + after, user_id, request_id=request_id)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def state(url: str) -> Iterator[State]:
    opened = open_state(url)
    yield opened
    opened.close()


def counted(kind: str, bundle: str = GONE) -> float:
    labels = {"sign": SIGNS[kind], "type": kind, "bundle": bundle, "placement": "default"}
    return REGISTRY.get_sample_value("tailorbird_effects_total", labels) or 0.0


def looked(watch: EffectWatch, *events: StoredEvent) -> None:
    watch.add([(one, SIGNS[one.type]) for one in events])
    watch.look()
    watch.look()


def test_an_item_counts_once_for_its_own_person_and_in_time(state: State) -> None:
    state.served_log.add([answer("r1", "ann")])
    before = {kind: counted(kind) for kind in SIGNS}
    watch = EffectWatch(state.served_log, 24 * HOUR)
    looked(
        watch,
        event(1, "r1", "a", "impression", "ann"),
        event(2, "r1", "a", "impression", "ann"),
        event(3, "r1", "b", "impression", "ann"),
        event(4, "r1", "a", "buy", "ann"),
        event(5, "r1", "b", "skip", "ann"),
        event(6, "r1", "z", "buy", "ann"),
        event(7, "r1", "b", "buy", "bob"),
        event(8, "r1", "b", "buy", "ann", after=25 * HOUR),
        event(9, "r1", "b", "buy", "ann", after=-HOUR),
        event(10, "r9", "b", "buy", "ann"),
        event(11, None, "b", "buy", "ann"),
    )
    looked(watch, event(12, "r1", "a", "buy", "ann"))
    assert {kind: counted(kind) - before[kind] for kind in SIGNS} == {"impression": 2, "buy": 1, "skip": 1}


def test_an_answer_that_came_into_the_log_meanwhile_is_found(state: State) -> None:
    watch, before = EffectWatch(state.served_log, 24 * HOUR), counted("buy")
    looked(watch, event(1, "r1", "c", "buy", "ann"))
    watch.add([(event(2, "r1", "a", "buy", "ann"), "positive")])
    watch.look()
    state.served_log.add([answer("r1", "ann")])
    watch.look()
    assert counted("buy") == before + 1


def test_a_clock_that_is_a_little_behind_loses_no_effect(state: State) -> None:
    state.served_log.add([answer("r1", "ann")])
    watch, before = EffectWatch(state.served_log, 24 * HOUR), counted("impression")
    looked(watch, event(1, "r1", "a", "impression", "ann", after=-MINUTE))
    assert counted("impression") == before + 1


def test_a_store_that_does_not_answer_loses_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.served_log.add([answer("r1", "ann")])
    log, before = state.served_log, counted("buy")
    watch = EffectWatch(log, None)
    watch.add([(event(number, "r1", item, "buy", "ann"), "positive") for number, item in enumerate("abc")])
    watch.look()

    def fail(*_: Any) -> Any:
        raise StateError("the store did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(watch, "_log", type("Gone", (), {"find": fail})())
        with pytest.raises(StateError):
            watch.look()
    watch.look()
    assert counted("buy") == before + 3


def test_what_waits_and_what_is_remembered_have_bounds(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect_watch, "MOST_WAITING", 3)
    monkeypatch.setattr(effect_watch, "REMEMBERED", 2)
    lost = REGISTRY.get_sample_value("tailorbird_effects_lost_total") or 0.0
    watch = EffectWatch(state.served_log, None)
    state.served_log.add([answer(f"r{number}", "ann") for number in range(5)])
    looked(watch, *(event(number, f"r{number}", "a", "buy", "ann") for number in range(5)))
    assert REGISTRY.get_sample_value("tailorbird_effects_lost_total") == lost + 2
    assert len(watch._answers) == 2


def test_the_whole_logs_say_what_share_was_acted_on(state: State, url: str) -> None:
    state.served_log.add([answer("r1", "ann"), answer("r2", "bob"), answer("r3", "cid", bundle="b2")])
    shown = [("r1", "a", "ann"), ("r1", "b", "ann"), ("r2", "a", "bob"), ("r3", "a", "cid"), ("r3", "b", "cid")]
    events = [event(number, one[0], one[1], "impression", one[2]) for number, one in enumerate(shown)]
    done = [("r1", "a", "ann"), ("r1", "a", "ann"), ("r1", "c", "ann"), ("r3", "a", "cid"), ("r3", "b", "bob")]
    events += [event(10 + number, one[0], one[1], "buy", one[2]) for number, one in enumerate(done)]
    state.append([*events, event(20, "r2", "a", "skip", "bob"), event(21, "r2", "a", "buy", "bob", 25 * HOUR)])
    log = open_event_log(url)
    first, second = effects_of(state.served_log, log, DATASET, 24 * HOUR)
    assert first[:6] == ("b1", "default", 2, 2, 3, 1)
    assert second[:6] == ("b2", "default", 1, 1, 2, 1)
    # Ann acted on 1 of 2, Bob on 0 of 1: residuals 1/3 and -1/3 about the rate of 1/3.
    error = (2 * (1 / 3) ** 2 * 2 / 1) ** 0.5 / 3
    assert first.rate == pytest.approx(1 / 3)
    assert (first.low, first.high) == pytest.approx((max(1 / 3 - 1.96 * error, 0), 1 / 3 + 1.96 * error))
    assert effects_of(state.served_log, log, DATASET, 24 * HOUR, since=NOON + 1) == []
    log.close()


def test_the_command_prints_a_table_and_says_when_there_is_nothing(state: State, url: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"dataset": DATASET.model_dump(mode="json", exclude_unset=True)}))
    nothing = CliRunner().invoke(main, ["effect", "--config", str(path), "--state", url])
    assert nothing.exit_code != 0
    assert "no answer of which an item was seen" in nothing.output
    state.served_log.add([answer("r1", "ann"), answer("r2", "bob", bundle="b2")])
    told = [("r1", "a", "ann"), ("r2", "a", "bob"), ("r2", "b", "bob")]
    state.append([event(number, one[0], one[1], "impression", one[2]) for number, one in enumerate(told)])
    state.append([event(9, "r2", "a", "buy", "bob")])
    lines = CliRunner().invoke(main, ["effect", "--config", str(path), "--state", url]).output.splitlines()
    assert lines[0].split()[:5] == ["bundle", "placement", "people", "seen", "acted"]
    assert lines[1].split()[:5] == ["b1", "default", "1", "1", "0"]
    assert "minus b1: +0.5000" in lines[2]


def test_posted_events_are_an_effect_of_the_answer_they_name(
    stand_in: Any, state: State, item_log: ItemLog, agreed: ConsentRules
) -> None:
    desk = Desk(stand_in, state, item_log, clock=lambda: NOON, consent=agreed)
    state.declare("shy", None, [Statement("consent", "measure", "denied", 1, "a test")])
    for user in ("ann", "shy"):
        desk.recommend(RecommendRequest(user_id=user, k=3), f"for-{user}")
    assert desk.served is not None
    assert desk.effects is not None
    desk.served.flush()
    sent = [
        {"event_id": f"{user}-{again}", "user_id": user, "item_id": "i0", "type": "buy", "request_id": f"for-{user}"}
        for user in ("ann", "shy")
        for again in (1, 1)
    ]
    name = BUNDLES.label(desk.bundle)
    before = counted("buy", name)
    reply = desk.events(EventsRequest(events=sent), "r")
    assert (reply.stored, reply.duplicate) == (2, 2)
    desk.effects.look()
    desk.effects.look()
    assert counted("buy", name) == before + 1
    assert Desk(stand_in, state, item_log, log_served=False).effects is None

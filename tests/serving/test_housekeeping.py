"""What a service does for people in the background: erasures are finished, and nothing is kept too long."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from features.consent import OPT_IN, ConsentRules
from features.errors import ConfigError
from features.moments import DAY
from features.statements import Statement
from features.tombstones import read_tombstones
from serving.lifecycle.lock import only_one
from serving.person.housekeeping import ROWS_AT_ONCE, Finisher, Keeper, check_retention, expire
from serving.person.reach import Reach, reach_of
from serving.person.settings import RetentionConfig
from serving.state import open_state
from serving.state.dead_letters import Refused
from serving.state.protocol import State, StoredEvent
from serving.state.served_log import ServedRow

NOW = 1_000 * DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path}/store/state.db")
    yield opened
    opened.close()


def event(number: int | str, days: float, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", "view", NOW - round(days * DAY), "ann")._replace(**given)


def retention(**given: Any) -> RetentionConfig:
    return RetentionConfig.parse(given)


def test_unfinished_erasures_are_finished_by_one_worker(store: State, tmp_path: Path) -> None:
    store.append([event(1, 1)])
    finisher = Finisher(store, Reach(tombstones=tmp_path / "marks.json"), tmp_path / "lock", lambda: NOW + 3)
    finisher.look()
    assert not (tmp_path / "lock").exists()
    store.erase("ann", moment=NOW)
    store.erase("bob", moment=NOW)
    with only_one(tmp_path / "lock"):
        finisher.look()
    assert len(store.unfinished()) == 2
    finisher.look()
    assert store.unfinished() == []
    (receipt,) = store.receipts("ann")
    assert receipt.report is not None
    assert receipt.report["finished"] == NOW + 3
    assert len(read_tombstones(tmp_path / "marks.json").marks) == 2


def test_what_is_kept_long_enough_goes_by_type(store: State, tmp_path: Path) -> None:
    store.append([event(1, 31), event(2, 29), event(3, 31, type="buy"), event(4, 400, type="buy")])
    said = [
        Statement("preference", "strength", value, NOW - days * DAY, "person") for value, days in ((1, 99), (2, 98))
    ]
    store.declare("ann", None, said)
    days = retention(events={"view": 30, "buy": 365}, statements=90)
    with only_one(tmp_path / "lock"):
        Keeper(store, days, OPT_IN, tmp_path / "lock", lambda: NOW).look()
    assert len(store.history("ann", newest=9)) == 4
    Keeper(store, days, OPT_IN, tmp_path / "lock", lambda: NOW).look()
    assert [one.event_id for one in store.history("ann", newest=9)] == ["e3", "e2"]
    assert [one.value for one in store.statements("ann")] == [2]
    assert expire(store, days, OPT_IN, NOW) == {"view": 0, "buy": 0, "statements": 0, "marks of erased events": 0}


MEASURED = {"measure": {"unknown": "granted", "basis": "a test"}}
SAID = {
    "nothing": [],
    "both": ["personalize", "train"],
    "training": ["train"],
    "no more": [],
}


def test_events_go_that_serve_no_purpose_for_which_they_would_be_kept(
    new_store_url: Callable[[], str],
) -> None:
    """Of those who allow measuring alone, by silence; training too; what has no end; nothing any more."""
    days = retention(purposes={"measure": 30, "train": 100})
    rules = ConsentRules.parse(MEASURED)
    with closing(open_state(new_store_url())) as state:
        for user, granted in SAID.items():
            said = [Statement("consent", one, "granted", NOW - 300 * DAY, "person") for one in granted]
            said += [Statement("consent", "measure", "denied", NOW - 1, "person")] if user == "no more" else []
            state.declare(user, None, said)
            state.append([event(f"{user}{age}", age, user_id=user) for age in (20, 50, 200)])
        state.append([event(9, 50, user_id=None, anonymous_id="cookie")])
        counts = expire(state, days, rules, NOW)
        assert counts["of no purpose"] == 2 + 0 + 1 + 2 + 1
        kept = {user: [one.event_id for one in state.history(user, newest=9)] for user in SAID}
        assert {user: len(found) for user, found in kept.items()} == {
            "nothing": 1,
            "both": 3,
            "training": 2,
            "no more": 1,
        }
        assert state.export(None, "cookie")["anonymous_ids"] == [], "nothing is left of the visitor"
        assert [one["item_id"] for one in state.export("training")["taken"]] == ["itraining20", "itraining50"]
        assert expire(state, days, rules, NOW)["of no purpose"] == 0


def test_people_are_asked_in_parts(new_store_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.person.housekeeping.PEOPLE_AT_ONCE", 2)
    with closing(open_state(new_store_url())) as state:
        state.append([event(number, 50, user_id=f"u{number}") for number in range(7)])
        assert (
            expire(state, retention(purposes={"measure": 30}), ConsentRules.parse(MEASURED), NOW)["of no purpose"] == 7
        )
        assert list(state.user_ids()) == []


def test_answers_and_refused_events_go_when_they_are_old(new_store_url: Callable[[], str]) -> None:
    def answer(number: int, age: int, user: str | None) -> ServedRow:
        moment = NOW - age * DAY
        return ServedRow(f"r{number}", user, None, moment, moment, "default", (), "b", "ranker", 1, {})

    with closing(open_state(new_store_url())) as state:
        ages = [(1, 40, "ann"), (2, 40, None), (3, 31, "bob"), (4, 29, "bob"), (5, 1, None)]
        state.served_log.add([answer(*one) for one in ages])
        letters = [Refused({"n": number}, NOW - age * DAY, "no", user_id=user) for number, age, user in ages[::-1]]
        state.dead_letters.keep(letters)
        counts = expire(state, retention(served=30, dead_letters=35), OPT_IN, NOW)
        assert (counts["served"], counts["dead_letters"]) == (3, 2)
        assert [one.row.request_id for one in state.served_log.after(0, 9)] == ["r4", "r5"]
        assert [one.refused.content["n"] for one in state.dead_letters.after(0, 9)] == [5, 4, 3]
        assert list(state.user_ids()) == ["bob"], "of ann nothing is left"


def test_many_rows_go_in_parts(store: State) -> None:
    store.load(event(number, 31 + number / 9_999) for number in range(2 * ROWS_AT_ONCE + 1))
    assert expire(store, retention(events={"view": 30}), OPT_IN, NOW)["view"] == 2 * ROWS_AT_ONCE + 1
    assert list(store.user_ids()) == []


def test_without_a_retention_everything_stays(store: State) -> None:
    store.append([event(1, 9_000)])
    assert expire(store, retention(), OPT_IN, NOW) == {"marks of erased events": 0}
    assert len(store.history("ann", newest=9)) == 1


def test_marks_of_erased_events_end_after_a_week(store: State) -> None:
    store.append([event(1, 1)])
    store.erase("ann", moment=NOW)
    assert expire(store, retention(), OPT_IN, NOW + 6 * DAY) == {"marks of erased events": 0}
    assert expire(store, retention(), OPT_IN, NOW + 8 * DAY) == {"marks of erased events": 1}
    assert store.append([event(1, 1)]) == ["erased"], "the person's own mark stays"


def test_a_retention_that_cannot_be_meant_is_refused() -> None:
    check_retention(retention(events={"view": 3}), ["view"], timed=True)
    check_retention(retention(statements=3), ["view"], timed=False)
    with pytest.raises(ConfigError, match="no such event type") as told:
        check_retention(retention(events={"hug": 3}), ["view"], timed=True)
    assert told.value.field == "serving.retention.events.hug"
    for given in ({"events": {"view": 3}}, {"purposes": {"train": 3}}):
        with pytest.raises(ConfigError, match="have no age"):
            check_retention(retention(**given), ["view"], timed=False)
    for wrong in ({"events": {"view": 0}}, {"events": {"view": "long"}}, {"served": 0}, {"purposes": {"marketing": 3}}):
        with pytest.raises(ConfigError):
            retention(**wrong)


def test_the_reach_is_what_a_config_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "here").mkdir()
    config = tmp_path / "etc" / "shop.yaml"
    config.write_text(
        "dataset: {erased: marks.json}\nserving: {privacy: {exports: [here, log], search: [/srv/lists]}}\n"
    )
    served = [tmp_path / "registry", tmp_path / "no run"]
    assert reach_of(None, served) == Reach(searched=(tmp_path / "registry",))
    assert reach_of(config, served) == Reach(
        (Path("here"), tmp_path / "etc" / "log"),
        (tmp_path / "registry", Path("/srv/lists")),
        tmp_path / "etc" / "marks.json",
    )

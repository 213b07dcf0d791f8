"""What a service does for people in the background: erasures are finished, and nothing is kept too long."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.errors import ConfigError
from features.moments import DAY
from features.statements import Statement
from features.tombstones import read_tombstones
from serving.lifecycle.lock import only_one
from serving.person.housekeeping import ROWS_AT_ONCE, Finisher, Keeper, check_retention, expire
from serving.person.reach import Reach, reach_of
from serving.person.settings import RetentionConfig
from serving.state import open_state
from serving.state.protocol import State, StoredEvent

NOW = 1_000 * DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path}/store/state.db")
    yield opened
    opened.close()


def event(number: int, days: float, **given: Any) -> StoredEvent:
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
        Keeper(store, days, tmp_path / "lock", lambda: NOW).look()
    assert len(store.history("ann", newest=9)) == 4
    Keeper(store, days, tmp_path / "lock", lambda: NOW).look()
    assert [one.event_id for one in store.history("ann", newest=9)] == ["e3", "e2"]
    assert [one.value for one in store.statements("ann")] == [2]
    assert expire(store, days, NOW) == {"view": 0, "buy": 0, "statements": 0, "marks of erased events": 0}


def test_many_rows_go_in_parts(store: State) -> None:
    store.load(event(number, 31 + number / 9_999) for number in range(2 * ROWS_AT_ONCE + 1))
    assert expire(store, retention(events={"view": 30}), NOW)["view"] == 2 * ROWS_AT_ONCE + 1
    assert list(store.user_ids()) == []


def test_without_a_retention_everything_stays(store: State) -> None:
    store.append([event(1, 9_000)])
    assert expire(store, retention(), NOW) == {"marks of erased events": 0}
    assert len(store.history("ann", newest=9)) == 1


def test_marks_of_erased_events_end_after_a_week(store: State) -> None:
    store.append([event(1, 1)])
    store.erase("ann", moment=NOW)
    assert expire(store, retention(), NOW + 6 * DAY) == {"marks of erased events": 0}
    assert expire(store, retention(), NOW + 8 * DAY) == {"marks of erased events": 1}
    assert store.append([event(1, 1)]) == ["erased"], "the person's own mark stays"


def test_a_retention_that_cannot_be_meant_is_refused() -> None:
    check_retention(retention(events={"view": 3}), ["view"], timed=True)
    check_retention(retention(statements=3), ["view"], timed=False)
    with pytest.raises(ConfigError, match="no such event type") as told:
        check_retention(retention(events={"hug": 3}), ["view"], timed=True)
    assert told.value.field == "serving.retention.events.hug"
    with pytest.raises(ConfigError, match="have no age"):
        check_retention(retention(events={"view": 3}), ["view"], timed=False)
    for wrong in ({"events": {"view": 0}}, {"events": {"view": "long"}}, {"served": 3}):
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

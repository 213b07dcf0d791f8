"""Exported logs: what was loaded comes back to the bit, each run adds what is new, and a broken one is finished."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from features.config import read_config
from features.errors import DataError
from features.moments import DAY, to_moment
from features.statements import Statement
from features.tables import load_tables
from serving.events.commands import export_logs
from serving.events.export_folder import ExportFolder
from serving.person.erasing import finish, verify
from serving.person.reach import Reach
from serving.state import open_item_log, open_state
from serving.state.protocol import StoredEvent
from serving.state.served_log import LogExport, ServedItem, ServedRow
from tailorbird import main

NOON = to_moment("2026-01-01T12:00:00Z")
CONFIG = {
    "dataset": {
        "order": {"time": "time"},
        "events": {
            "path": "events.csv",
            "type": "type",
            "context": {
                "price": {"role": "numeric", "static": True},
                "tags": {"role": "multi_categorical", "static": True},
                "device": {"role": "categorical", "static": True},
            },
        },
        "types": {"view": {"repeat": "always"}, "shown": {"sign": "exposure", "repeat": "always"}},
    }
}


class Shop(NamedTuple):
    config: Path
    url: str
    output: Path

    def export(self, since: str | None = None) -> tuple[int, ...]:
        return tuple(export_logs(self.config, self.url, self.output, since))

    def append(self, *events: StoredEvent) -> None:
        state = open_state(self.url)
        state.append(events)
        state.close()

    def rows(self, kind: str) -> list[dict[str, Any]]:
        files = sorted(self.output.glob(f"{kind}/**/*.parquet"))
        rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
        return sorted(rows, key=lambda row: int(row["number"]))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    config = tmp_path / "shop.yaml"
    config.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return Shop(config, f"sqlite:///{tmp_path}/state.db", tmp_path / "log")


def event(number: int, kind: str = "view", moment: int = NOON, **given: Any) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number}", kind, moment + number, "ann")._replace(**given)


def answer(request_id: str, user_id: str | None = "ann", moment: int = NOON) -> ServedRow:
    items = (ServedItem("i1", 0.1 + 0.2, "nearest"), ServedItem("i2", 0.1, None))
    return ServedRow(request_id, user_id, None, moment, moment, "default", items, "b", "ranker", 3, {"k": 2})


def test_three_logs_lie_apart_by_day(shop: Shop) -> None:
    shop.append(event(1), event(2, "shown", request_id="r1", details={"position": 2}), event(3, moment=NOON + DAY))
    state = open_state(shop.url)
    state.served_log.add([answer("r1"), answer("r2", None, NOON + DAY)])
    state.close()
    assert shop.export() == (2, 1, 2)
    files = sorted(str(file.relative_to(shop.output)) for file in shop.output.rglob("*.parquet"))
    assert files == [
        "consent.parquet",
        "events/acted/day=2026-01-01/000000000001-000000000001.parquet",
        "events/acted/day=2026-01-02/000000000003-000000000003.parquet",
        "events/shown/day=2026-01-01/000000000002-000000000002.parquet",
        "served/day=2026-01-01/000000000001-000000000001.parquet",
        "served/day=2026-01-02/000000000002-000000000002.parquet",
    ]
    (shown,) = shop.rows("events/shown")
    assert (shown["request_id"], shown["position"], shown["item_id"]) == ("r1", 2.0, "i2")
    first = shop.rows("served")[0]
    assert first["items"][0] == {"item_id": "i1", "score": 0.1 + 0.2, "source": "nearest"}
    assert (first["seen"], first["propensity"], json.loads(first["query"])) == (3, None, {"k": 2})


def test_each_run_adds_what_is_new_and_late_events_too(shop: Shop) -> None:
    assert shop.export() == (0, 0, 0)
    shop.append(event(1), event(2))
    assert shop.export() == (0, 0, 2)
    before = {file: file.read_bytes() for file in shop.output.rglob("*-*.parquet")}
    assert shop.export() == (0, 0, 0)
    shop.append(event(3, moment=NOON - 9 * DAY), event(4))
    assert shop.export() == (0, 0, 2)
    assert all(file.read_bytes() == content for file, content in before.items())
    assert [row["event_id"] for row in shop.rows("events")] == ["e1", "e2", "e3", "e4"]
    state = open_state(shop.url)
    (noted,) = state.served_log.exports()
    assert noted == LogExport(str(shop.output.resolve()), noted.moment, 4, 0)
    state.close()


def test_what_is_dated_before_is_left_out_for_good(shop: Shop) -> None:
    shop.append(event(1), event(2, moment=NOON + DAY))
    assert shop.export(since="2026-01-02T00:00:00Z") == (0, 0, 1)
    assert shop.export() == (0, 0, 0)


@pytest.mark.parametrize("promised", [True, False])
def test_a_run_that_was_broken_off_is_finished(shop: Shop, promised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.append(event(1), event(2, moment=NOON + DAY))

    class BrokenOffError(Exception):
        pass

    def breaks(*_: Any) -> None:
        raise BrokenOffError

    method = "_finish" if promised else "replace"
    with monkeypatch.context() as patch:
        real = ExportFolder.__init__
        patch.setattr(
            ExportFolder, "__init__", lambda *given: (real(*given), patch.setattr(ExportFolder, method, breaks))[0]
        )
        with pytest.raises(BrokenOffError):
            shop.export()
    assert list(shop.output.rglob("0*.parquet")) == []
    shop.append(event(3))
    shop.export()
    assert [row["event_id"] for row in shop.rows("events")] == ["e1", "e2", "e3"]
    assert list(shop.output.rglob(".*unfinished")) == []


def test_a_folder_belongs_to_one_store(shop: Shop, tmp_path: Path) -> None:
    shop.append(event(1))
    shop.export()
    other = shop._replace(url=f"sqlite:///{tmp_path}/other.db")
    other.append(event(1))
    with pytest.raises(DataError, match="another store"):
        other.export()
    (shop.output / "export.json").write_text("{}")
    with pytest.raises(DataError, match="no manifest"):
        shop.export()


def test_the_section_reads_every_field_and_what_people_said(shop: Shop) -> None:
    told = {"dwell": 1.5, "price": 9.99, "quantity": 2, "position": 3}
    context = {"price": 0.1, "tags": ["b", "a"], "device": "tv"}
    shop.append(
        event(2, value=0.1, details=told, context=context, request_id="r1"),
        event(1, "shown", user_id=None, anonymous_id="cookie"),
    )
    state = open_state(shop.url)
    state.declare("ann", None, [Statement("consent", "train", "granted", NOON, "person")])
    state.declare(None, "cookie", [Statement("consent", "train", "denied", NOON, "person")])
    state.close()
    shop.export()
    file = read_config(shop.output / "dataset.yaml")
    tables = load_tables(file.dataset, file.folder)
    events = tables.events
    assert list(events.users) == ["ann", "cookie"]
    assert {name: column[0] for name, column in events.details.items()} == told
    assert {name: column[0] for name, column in events.contexts.items()} == context
    assert events.requests is not None
    assert list(events.requests) == ["r1", None]
    assert tables.consent is not None
    assert tables.consent.allowing(events.users, ["train"], NOON + DAY).tolist() == [True, False]


def test_the_section_says_what_the_silence_of_live_people_means(shop: Shop) -> None:
    silence = {"consent": {"train": {"unknown": "granted", "basis": "a contract"}}}
    shop.config.write_text(yaml.safe_dump({**CONFIG, "serving": silence}), encoding="utf-8")
    shop.append(event(1))
    shop.export()
    file = read_config(shop.output / "dataset.yaml")
    tables = load_tables(file.dataset, file.folder)
    assert tables.consent is not None
    allowed = [tables.consent.allowing(tables.events.users, [one], NOON).tolist() for one in ("train", "personalize")]
    assert allowed == [[True], [False]]


def test_columns_of_one_name_stay_apart(shop: Shop) -> None:
    shop.append(event(1, details={"price": 5.0}, context={"price": 7.0}))
    shop.export()
    (row,) = shop.rows("events")
    assert (row["price_"], row["price"]) == (5.0, 7.0)


def test_the_commands_list_replay_and_export(shop: Shop) -> None:
    from serving.state.dead_letters import Refused

    sent = {"event_id": "e9", "user_id": "ann", "item_id": "i1", "type": "view", "time": "2026-01-01T00:00:00Z"}
    state = open_state(shop.url)
    state.declare("ann", None, [Statement("consent", "measure", "granted", 0, "person")])
    state.dead_letters.keep([Refused(sent, NOON, "there was no such type", "type", "ann")])
    state.close()
    run, where = CliRunner().invoke, ["--state", shop.url]
    masked = run(main, ["events", "rejected", *where]).output
    assert "type: there was no such type" in masked
    assert "ann" not in masked
    assert "ann" in run(main, ["events", "rejected", "--show-ids", *where]).output
    replayed = run(main, ["events", "replay", "--config", str(shop.config), *where])
    assert replayed.output == "1 stored, 0 were stored before, 0 given up, 0 left\n"
    assert run(main, ["events", "rejected", *where]).output == ""
    output = ["-o", str(shop.output)]
    exported = run(main, ["export-log", "--config", str(shop.config), *where, *output])
    assert exported.output.startswith("0 served, 0 shown and 1 acted new in ")
    wrong = run(main, ["export-log", "--config", str(shop.config), *where, *output, "--since", "May"])
    assert "is no time" in wrong.output


def test_an_erasure_takes_rows_out_of_every_folder_that_was_exported_to(shop: Shop) -> None:
    shop.append(event(1), event(2, user_id="bob"))
    state = open_state(shop.url)
    state.served_log.add([answer("r1"), answer("r2", "bob")])
    shop.export()
    report = finish(state, state.erase("ann", moment=NOON + DAY), Reach(), NOON + DAY)
    assert str(shop.output.resolve()) in {place["place"] for place in report["places"]}
    assert [row["user_id"] for kind in ("events", "served") for row in shop.rows(kind)] == ["bob", "bob"]
    assert verify(state, "ann", None, Reach()).clean
    state.close()
    assert shop.export() == (0, 0, 0)
    assert all(b"ann" not in file.read_bytes() for file in shop.output.rglob("*.parquet"))
    file = read_config(shop.output / "dataset.yaml")
    assert list(load_tables(file.dataset, file.folder).events.users) == ["bob"]


def test_two_exports_do_not_write_one_folder(shop: Shop) -> None:
    from features.errors import StateError
    from serving.lifecycle.lock import only_one

    shop.append(event(1))
    shop.export()
    with only_one(shop.output / ".lock"), pytest.raises(StateError, match="another export"):
        shop.export()


def test_a_training_log_comes_back_to_the_bit(trained: Any, tmp_path: Path) -> None:
    """simulate, load, export, read: the table of events equals the one that was loaded, in every column."""
    from dataclasses import fields

    import numpy as np

    from serving.state import load_tables_into_state

    url = f"sqlite:///{tmp_path}/state.db"
    state = open_state(url)
    load_tables_into_state(state, trained.tables)
    state.close()
    export_logs(trained.config_path, url, tmp_path / "log", None)
    file = read_config(tmp_path / "log" / "dataset.yaml")
    again, before = load_tables(file.dataset, file.folder), trained.tables
    for name in ("users", "items", "types", "user_codes", "item_codes", "type_codes", "moments", "values", "event_ids"):
        np.testing.assert_array_equal(getattr(again.events, name), getattr(before.events, name), err_msg=name)
        assert np.asarray(getattr(again.events, name)).dtype == np.asarray(getattr(before.events, name)).dtype
    for name, column in before.events.contexts.items():
        assert again.events.contexts[name].tolist() == column.tolist()
    assert {one.name for one in fields(before.events)} >= {"details", "requests"}
    assert list(again.items.ids) == list(before.items.ids)
    open_item_log(url).close()

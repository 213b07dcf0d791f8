"""Leaving and taking along: the receipt is true, every file is looked through, and verifying finds what is left."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from features.errors import StateError
from features.statements import Statement
from features.tombstones import read_tombstones
from serving.desk.desk import Desk
from serving.lifecycle.lock import only_one
from serving.person.administration import erase_person
from serving.person.archive import archive_of
from serving.person.erasing import EXPORT_LOCK, Verification, finish, verify
from serving.person.privacy import EraseRequest, ExportRequest, VerifyRequest, erase, export, verify_erasure
from serving.person.reach import Reach, reach_of
from serving.person.retraining import Retraining
from serving.person.traces import files_with, rows_with, take_out
from serving.state import open_state
from serving.state.erasures import Scrubbed
from serving.state.protocol import State, StoredEvent, UserAttributes

NOW = 1_767_225_600_000
"""The desk's present."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{tmp_path}/store/state.db")
    yield opened
    opened.close()


def event(number: int, user_id: str = "person-ann", **given: Any) -> StoredEvent:
    return StoredEvent(f"{user_id}-{number}", f"i{number}", "view", NOW - number, user_id)._replace(**given)


def fill(state: State) -> None:
    state.append([event(1, context={"note": "person-ann"}), event(2), event(3, "person-bob")])
    state.append([event(4)._replace(user_id=None, anonymous_id="cookie-ann")])
    state.link("cookie-ann", "person-ann")
    state.set_attributes([UserAttributes("person-ann", {"mail": "person-ann@example.org"})])
    state.declare("person-ann", None, [Statement("consent", "train", "granted", NOW - 9, "person")])


def exported(folder: Path) -> Path:
    """A log as it is exported: partitions of Parquet files."""
    for day, users in (("1", ["person-ann", "person-bob"]), ("2", ["person-bob"]), ("3", ["cookie-ann"])):
        place = folder / "events" / f"date=2026-01-0{day}"
        place.mkdir(parents=True)
        frame = pd.DataFrame({"user_id": users, "item_id": "i1", "value": 1.0})
        frame.to_parquet(place / "part.parquet")
    return folder


def bytes_with(folder: Path, needle: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()]


def of_places(found: Verification) -> dict[str, str]:
    return {place.place.rpartition("/")[2]: place.status for place in found.places}


def test_an_erasure_leaves_the_id_in_no_byte(store: State, tmp_path: Path) -> None:
    fill(store)
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "report.md").write_text("nobody in here, and no xperson-ann or person-ann2")
    reach = Reach((exported(tmp_path / "log"), tmp_path / "gone"), (runs,), tmp_path / "marks.json")
    erasure = store.erase("person-ann", moment=NOW)
    report = finish(store, erasure, reach, NOW + 5)
    for needle in ("person-ann", "cookie-ann"):
        assert bytes_with(tmp_path / "store", needle) == []
        assert bytes_with(tmp_path / "log", needle) == []
    assert bytes_with(tmp_path / "store", "person-bob") == ["state.db"]
    assert [(one["place"].rpartition("/")[2], one["status"], one.get("count")) for one in report["places"]] == [
        ("the store's files", "clean", 0),
        ("log", "rewritten", 2),
        ("gone", "absent", None),
        ("runs", "clean", 0),
        ("copies elsewhere", "not_reached", None),
    ]
    assert store.unfinished() == []
    assert read_tombstones(tmp_path / "marks.json") == store.tombstones()
    assert read_tombstones(tmp_path / "log" / "events" / "_erased.json") == store.tombstones()
    left = pd.read_parquet(tmp_path / "log" / "events")
    assert left["user_id"].tolist() == ["person-bob", "person-bob"]
    for user, visitor in (("person-ann", None), (None, "cookie-ann"), ("person-ann", "cookie-ann")):
        found = verify(store, user, visitor, reach)
        assert found.clean
        assert set(of_places(found).values()) == {"clean", "absent", "not_reached"}


def test_finishing_twice_does_no_harm(store: State, tmp_path: Path) -> None:
    fill(store)
    reach = Reach((exported(tmp_path / "log"),))
    erasure = store.erase("person-ann", moment=NOW)
    first = finish(store, erasure, reach, NOW)
    again = finish(store, erasure, reach, NOW)
    assert [one.get("count") for one in first["places"]] == [0, 2, None]
    assert [one.get("count") for one in again["places"]] == [0, 0, None]
    assert verify(store, "person-ann", None, reach).clean


def test_what_is_left_is_named(store: State, tmp_path: Path) -> None:
    fill(store)
    log = exported(tmp_path / "log")
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "lists.csv").write_text("user_id,item_id\nperson-ann,i1\n")
    pd.DataFrame({"user_id": ["person-ann"]}).to_parquet(runs / "lists.parquet")
    assert not verify(store, "person-ann", None, Reach()).clean
    assert of_places(verify(store, "person-ann", None, Reach()))["the store's rows"] == "found"
    erasure = store.erase("person-ann", moment=NOW)
    assert f"receipt {erasure.receipt_id}" in of_places(verify(store, "person-ann", None, Reach()))
    report = finish(store, erasure, Reach((), (runs,)), NOW)
    assert [one["status"] for one in report["places"]] == ["clean", "found", "not_reached"]
    assert "lists.csv" in report["places"][1]["note"]
    assert "lists.parquet" in report["places"][1]["note"]
    found = verify(store, "person-ann", None, Reach((log,), (runs,)))
    assert not found.clean
    assert of_places(found) == {
        "the store's rows": "clean",
        "the store's files": "clean",
        "log": "found",
        "runs": "found",
        "copies elsewhere": "not_reached",
    }
    assert verify(store, "nobody", None, Reach()).erased is None
    assert not verify(store, "nobody", None, Reach()).clean


def test_who_comes_back_is_a_new_person_and_the_erasure_still_holds(store: State, tmp_path: Path) -> None:
    fill(store)
    reach = Reach((exported(tmp_path / "log"),))
    finish(store, store.erase("person-ann", moment=NOW), reach, NOW)
    store.append([event(1, moment=NOW + 5)._replace(event_id="new")])
    found = verify(store, "person-ann", None, reach)
    assert found.clean
    assert "came after the erasure" in (found.places[0].note or "")
    pd.DataFrame({"user_id": ["person-ann"]}).to_parquet(tmp_path / "log" / "events" / "new.parquet")
    assert verify(store, "person-ann", None, reach).clean


def test_an_old_row_that_came_back_by_hand_is_found(store: State, tmp_path: Path) -> None:
    fill(store)
    finish(store, store.erase("person-ann", moment=NOW), Reach(), NOW)
    with sqlite3.connect(tmp_path / "store" / "state.db") as connection:
        connection.execute("INSERT INTO ids VALUES (77, 0, 'person-ann')")
        row = (77, "x", "i1", "view", NOW - 1)
        connection.execute("INSERT INTO events (person, event_id, item_id, type, moment) VALUES (?, ?, ?, ?, ?)", row)
    connection.close()
    found = verify(store, "person-ann", None, Reach())
    assert (found.clean, found.places[0].status, found.places[0].count) == (False, "found", 1)


def test_an_erasure_that_files_hold_up_is_left_to_be_done(store: State, tmp_path: Path) -> None:
    fill(store)
    erasure = store.erase("person-ann", moment=NOW)
    with pytest.raises(OSError, match="No such file"):
        finish(store, erasure, Reach(tombstones=tmp_path / "no folder" / "marks.json"), NOW)
    assert store.unfinished() == [erasure]


def test_a_folder_that_is_being_written_is_left_for_later(store: State, tmp_path: Path) -> None:
    fill(store)
    log = exported(tmp_path / "log")
    erasure = store.erase("person-ann", moment=NOW)
    with only_one(log / EXPORT_LOCK), pytest.raises(StateError, match="an export writes"):
        finish(store, erasure, Reach((log,)), NOW)
    assert store.unfinished() == [erasure]
    assert finish(store, erasure, Reach((log,)), NOW)["places"][1]["count"] == 2


def test_rows_leave_every_column_of_texts_and_files_stay_whole(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user_id": pd.Series(["a", None, "b"], dtype="category"),
            "anonymous_id": [None, "a", None],
            "value": [1.0, 2.0, 3.0],
        }
    )
    (tmp_path / "events").mkdir()
    frame.to_parquet(tmp_path / "events" / "part.parquet")
    store = open_state("sqlite://:memory:")
    assert rows_with(tmp_path, ["a"]) == 2
    assert take_out(tmp_path, ["a"], store.tombstones()) == 2
    left = pd.read_parquet(tmp_path / "events" / "part.parquet")
    assert left["value"].tolist() == [3.0]
    assert left["user_id"].dtype == frame["user_id"].dtype
    assert take_out(tmp_path, ["b"], store.tombstones()) == 1
    assert len(pd.read_parquet(tmp_path / "events" / "part.parquet")) == 0
    store.close()


def test_ids_are_found_whole_and_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("żółw-1 and u12345")
    (tmp_path / "b.json").write_text(json.dumps({"who": "żółw-1"}))
    (tmp_path / "c.txt").write_text("żółw-12 żółw-1-2 xu1234")
    (tmp_path / "state.db").write_text("żółw-1")
    (tmp_path / "empty").touch()
    assert [path.name for path in files_with(tmp_path, ["żółw-1"])] == ["a.txt", "b.json"]
    assert files_with(tmp_path, ["u1234"]) == []
    assert files_with(tmp_path, ["12"]) == [], "what is so short stands anywhere"


def test_the_archive_holds_everything(state: State) -> None:
    fill(state)
    with zipfile.ZipFile(io.BytesIO(archive_of(state, "person-ann", None, NOW))) as archive:
        held = {name.partition(".")[0]: archive.read(name).decode() for name in archive.namelist()}
    assert {"README", "ids", "events", "taken", "attributes", "changes", "statements", "audit"} <= set(held)
    assert json.loads(held["ids"]) == {"user_ids": ["person-ann"], "anonymous_ids": ["cookie-ann"]}
    events = json.loads(held["events"])
    assert [one["event_id"] for one in events] == ["person-ann-4", "person-ann-2", "person-ann-1"]
    assert events[0]["time"] == "2025-12-31T23:59:59.996Z"
    assert json.loads(held["attributes"]) == {"mail": "person-ann@example.org"}
    assert json.loads(held["statements"])[0]["key"] == "train"
    assert "events.json  (3 entries)" in held["README"]
    assert "person-bob" not in "".join(held.values())


def test_the_archive_leaves_nothing_out_that_the_store_exports(state: State) -> None:
    fill(state)
    with zipfile.ZipFile(io.BytesIO(archive_of(state, "person-ann", None, NOW))) as archive:
        names = {name.partition(".")[0] for name in archive.namelist()}
    assert {*state.export("person-ann")} - {"user_ids", "anonymous_ids"} < names


def test_the_desk_erases_verifies_and_exports(desk: Desk, state: State) -> None:
    fill(state)
    assert zipfile.is_zipfile(io.BytesIO(export(desk, ExportRequest(user_id="person-ann"), "r").content))
    before = verify_erasure(desk, VerifyRequest(user_id="person-ann"), "r")
    assert (before.clean, before.receipts) == (False, [])
    receipt = erase(desk, EraseRequest(user_id="person-ann"), "r").receipt
    assert (receipt.status, receipt.removed["events"], receipt.removed["ids"]) == ("pending", 3, 2)
    assert receipt.erased == "2026-01-01T00:00:00.000Z"
    assert not verify_erasure(desk, VerifyRequest(user_id="person-ann"), "r").clean
    (erasure,) = state.unfinished()
    finish(state, erasure, Reach(), NOW)
    after = verify_erasure(desk, VerifyRequest(user_id="person-ann"), "r")
    assert after.clean
    assert after.receipts[0].receipt_id == receipt.receipt_id
    assert [place.place for place in after.receipts[0].places] == ["the store's files", "copies elsewhere"]


def test_a_receipt_whose_own_bytes_may_be_left_says_so(
    desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(state)
    erasure, scrub = state.erase("person-ann", moment=NOW), type(state).scrub

    def holds_up(store: State, ids: Sequence[str]) -> Scrubbed:
        if store.unfinished():
            return scrub(store, ids)
        raise StateError("others read from it all the time")

    monkeypatch.setattr(type(state), "scrub", holds_up)
    with pytest.raises(StateError):
        finish(state, erasure, Reach(), NOW)
    found = verify_erasure(desk, VerifyRequest(user_id="person-ann"), "r")
    assert not found.clean
    assert found.receipts[0].status == "pending"
    assert found.receipts[0].places[0].place == "the store's files"


def test_over_http(client: httpx.Client) -> None:
    who = {"user_id": "http-person"}
    one = {"event_id": "http-1", "item_id": "i1", "type": "view", "time": "2026-01-01T00:00:00Z", **who}
    client.post("/v1/events", json={"events": [one]})
    archive = client.post("/v1/privacy/export", json=who)
    assert archive.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        assert "http-1" in opened.read("events.json").decode()
    receipt = client.post("/v1/privacy/erase", json=who).json()["receipt"]
    assert receipt["removed"]["events"] == 1
    again = client.post("/v1/events", json={"events": [one]}).json()["results"][0]
    assert (again["status"], again["field"]) == ("rejected", "time")
    checked = client.post("/v1/privacy/verify", json=who).json()
    assert [one["receipt_id"] for one in checked["receipts"]] == [receipt["receipt_id"]]
    assert checked["places"][-3]["status"] == "clean"


@pytest.mark.parametrize("path", ["export", "erase", "verify"])
@pytest.mark.parametrize(
    ("asked", "field"), [({}, None), ({"user_id": 7}, "user_id"), ({"user_id": "a", "why": "b"}, "why")]
)
def test_nobody_and_nonsense_are_refused(client: httpx.Client, path: str, asked: Any, field: str | None) -> None:
    answer = client.post(f"/v1/privacy/{path}", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"].get("field") == field


def test_a_store_that_does_not_answer_is_told(desk: Desk, state: State) -> None:
    state.close()
    with pytest.raises(StateError, match="did not answer"):
        erase(desk, EraseRequest(user_id="person-ann"), "r")


def test_a_receipt_names_the_day_of_the_next_training(desk: Desk, tmp_path: Path) -> None:
    (told, *_) = erase(desk, EraseRequest(user_id="ann"), "r").remains
    assert told.until == "the next training; none is scheduled"
    config = tmp_path / "shop.yaml"
    config.write_text("dataset: {}\nretrain: {full_every: 3}\nschedule: {cron: '30 3 * * *'}\n")
    desk.retraining = reach_of(config).retraining
    (told, *_) = erase(desk, EraseRequest(user_id="ann"), "r").remains
    assert told.what == "weights of trained models"
    assert told.until.startswith("2026-01-01T03:30:00.000Z, when the next training is due; a full one by 2026-01-03")
    receipt = erase_person(f"sqlite:///{tmp_path}/state.db", "bob", None, reach_of(config))
    assert "T03:30:00.000Z, when the next training is due" in receipt["remains"][1]["until"]
    assert verify_erasure(desk, VerifyRequest(user_id="ann"), "r").receipts


def test_a_schedule_that_is_not_understood_is_told_as_it_stands() -> None:
    assert "by the schedule 0 0 last * *" in Retraining("0 0 last * *", "UTC", 5).words(NOW)
    assert Retraining("0 0 31 2 *", "UTC", 5).words(NOW) == "the next training; none is scheduled"

"""People under pseudonyms: every answer is as without, and nothing that is written down names anybody."""

import json
import logging
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from features.config import read_config
from features.errors import ConfigError, DataError
from features.pseudonyms import VARIABLE, Pseudonyms, PseudonymsConfig, pseudonyms_of
from features.statements import Statement
from features.tables import load_tables
from serving.desk.desk import Desk
from serving.events.commands import export_logs, rejected_lines
from serving.person.administration import erase_person, export_person, verify_person, write_tombstones
from serving.person.reach import Reach, reach_of
from serving.pipeline import Pipeline
from serving.state import open_item_log, open_state
from serving.state.audit_log import Deed
from serving.state.dead_letters import Refused
from serving.state.protocol import State, StoredEvent, UserAttributes
from serving.state.served_log import ServedItem, ServedRow

KEY = Pseudonyms(b"k" * 32)
OTHER = Pseudonyms(b"o" * 32)
USER, VISITOR, LEAVER = "ann@example.org", "cookie-8f3a", "bob@example.org"
NOW = 1_767_225_600_000


def event(number: int, user_id: str | None = "ann", visitor: str | None = None) -> StoredEvent:
    return StoredEvent(f"e{number}", f"i{number % 3}", "view", NOW - number, user_id, visitor)


def test_a_pseudonym_is_keyed_and_of_one_form() -> None:
    assert KEY.of("ann") == KEY.of("ann") != KEY.of("bob")
    assert KEY.of("ann") != OTHER.of("ann")
    assert KEY.of("ann").startswith("tbp_")
    assert len(KEY.of("ann")) == len(KEY.of("ann" * 80)) == 36
    assert KEY.of(KEY.of("ann")) == KEY.of("ann")
    assert KEY.fingerprint != OTHER.fingerprint
    assert "kkk" not in repr(KEY)


def test_a_key_is_named_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32 + "\n", encoding="utf-8")
    assert pseudonyms_of(None, tmp_path) is None
    assert pseudonyms_of(PseudonymsConfig(key_file="key"), tmp_path) == KEY
    assert pseudonyms_of(PseudonymsConfig(key_variable="MINE"), tmp_path, {"MINE": "k" * 32}) == KEY
    assert pseudonyms_of(PseudonymsConfig(), tmp_path, {VARIABLE: "k" * 32}) == KEY
    assert pseudonyms_of(PseudonymsConfig(), tmp_path, {f"{VARIABLE}_FILE": str(tmp_path / "key")}) == KEY


@pytest.mark.parametrize(
    ("config", "environment", "message"),
    [
        (PseudonymsConfig(), {}, "has 0 characters"),
        (PseudonymsConfig(), {VARIABLE: "short"}, "has 5 characters"),
        (PseudonymsConfig(key_variable="MINE"), {VARIABLE: "k" * 32}, "has 0 characters"),
        (PseudonymsConfig(key_file="nowhere"), {}, "cannot be read: FileNotFoundError"),
    ],
)
def test_a_key_that_is_none_is_told(
    config: PseudonymsConfig, environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        pseudonyms_of(config, tmp_path, environment)


def test_a_store_is_opened_with_its_own_key_alone(shared_store_url: str) -> None:
    open_state(shared_store_url).close()  # nobody is in it yet
    for _ in range(2):
        open_state(shared_store_url, pseudonyms=KEY).close()
    with pytest.raises(ConfigError, match="no key for them was given"):
        open_state(shared_store_url)
    with pytest.raises(ConfigError, match="begun with another key"):
        open_state(shared_store_url, pseudonyms=OTHER)


def test_people_who_stand_there_by_their_ids_are_not_mixed_with_others(shared_store_url: str) -> None:
    with closing(open_state(shared_store_url)) as state:
        state.append([event(1)])
    with pytest.raises(ConfigError, match="holds people under their own ids"):
        open_state(shared_store_url, pseudonyms=KEY)


def test_the_environments_key_is_every_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv(VARIABLE, "k" * 32)
    with closing(open_state(url)) as state:
        state.append([event(1)])
        assert list(state.user_ids()) == [KEY.of("ann")]
    export_person(url, "ann", None, tmp_path / "ann.zip")
    with zipfile.ZipFile(tmp_path / "ann.zip") as archive:
        assert json.loads(archive.read("ids.json"))["user_ids"] == ["ann"]
    monkeypatch.delenv(VARIABLE)
    assert list(rejected_lines(url, show_ids=True)) == []  # about nobody, so without a key
    with pytest.raises(ConfigError, match="no key"):
        export_person(url, "ann", None, tmp_path / "ann.zip")


def told(state: State, *ids: str | None) -> Any:
    """Everything that a store says of somebody who is asked for by their own ids."""
    user, visitor = ids
    held = state.export(user, visitor)
    for row in held["served"]:
        row.pop("number", None)
    letters = [one.refused._replace(content=None, user_id=None) for one in state.dead_letters.after(0, 9)]
    served = state.served_log.find("r1", user, visitor)
    return (
        {kind: content for kind, content in held.items() if kind not in ("user_ids", "anonymous_ids")},
        state.history(user, visitor, newest=9),
        state.person(user, visitor).attributes,
        state.statements(user, visitor),
        [(one.moment, one.removed) for one in state.receipts(user, visitor)],
        len(state.audit_log.keys(user, visitor)),
        served,
        letters,
        state.newest_event(),
        state.known(["e1", "e99"]),
        len(list(state.user_ids())),
        len(state.unfinished()),
    )


IDS = st.sampled_from(["ann", "bob", "ann b", "ż"])
STEPS = st.one_of(
    st.tuples(st.just("user event"), IDS, st.integers(1, 9)),
    st.tuples(st.just("visit"), IDS, st.integers(1, 9)),
    st.tuples(st.just("attributes"), IDS, st.integers(1, 9)),
    st.tuples(st.just("declare"), IDS, st.integers(1, 9)),
    st.tuples(st.just("load"), IDS, st.integers(10, 19)),
    st.tuples(st.just("link"), IDS, st.integers(0, 3)),
    st.tuples(st.just("served"), IDS, st.integers(1, 2)),
    st.tuples(st.just("letter"), IDS, st.integers(1, 9)),
    st.tuples(st.just("remove"), IDS, st.integers(1, 9)),
    st.tuples(st.just("forget"), IDS, st.integers(1, 9)),
    st.tuples(st.just("erase"), IDS, st.integers(1, 9)),
)


def step(state: State, what: str, one: str, number: int) -> Any:
    deed = Deed(what, "me", NOW, people=[(one, None)])
    audited = state.audited(deed)
    said = Statement("consent", "train", "granted", NOW - number, "person")
    match what:
        case "user event":
            return audited.append([event(number, one)])
        case "visit":
            return audited.append([event(number, None, one)])
        case "attributes":
            return audited.set_attributes([UserAttributes(one, {"city": number})])
        case "declare":
            return audited.declare(one, None, [said])
        case "load":
            return state.load([event(number, one)])
        case "link":
            try:
                return audited.link(["ann", "bob", "ann b", "ż"][number], one)
            except Exception as error:
                return str(error)
        case "served":
            items = (ServedItem("i1", 1.0, None),)
            row = ServedRow(f"r{number}", one, None, NOW, NOW, "default", items, "b", "ranker", 1, {})
            return state.served_log.add([row])
        case "letter":
            content = {"user_id": one, "item_id": "i1", "time": str(number)}
            return state.dead_letters.keep([Refused(content, NOW - number, "no", "type", user_id=one)])
        case "remove":
            return audited.remove_event(one, None, f"e{number}", moment=NOW), audited.remove_attributes(one, ["city"])
        case "forget":
            return audited.forget_events(one, None, ["buy"], moment=NOW)
        case _:
            erasure = audited.erase(one, moment=NOW - number)
            state.finish(erasure.receipt_id, {"places": []})
            audited.audit_log.note(deed)
            return erasure.removed


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=12), IDS, IDS)
def test_a_store_with_pseudonyms_answers_as_one_without(
    steps: list[tuple[str, str, int]], one: str, other: str
) -> None:
    memory = "sqlite://:memory:"
    with closing(open_state(memory)) as plain, closing(open_state(memory, pseudonyms=KEY)) as hidden:
        for each in steps:
            assert step(hidden, *each) == step(plain, *each)
        for ids in ((one, None), (None, one), (one, other)):
            assert told(hidden, *ids) == told(plain, *ids)


CONFIG = {
    "dataset": {
        "order": {"time": "time"},
        "events": {"path": "events.csv", "type": "type"},
        "users": {"path": "users.csv", "columns": {"city": {"role": "categorical", "static": True}}},
        "types": {"view": {"repeat": "always"}, "shown": {"sign": "exposure", "repeat": "always"}},
        "consent": {
            "table": {"path": "consent.csv", "columns": {"train": "ok"}},
            "assume": "granted",
            "basis": "a test",
        },
    },
    "serving": {"pseudonyms": {"key_file": "secret.key"}},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "secret.key").write_text("k" * 32, encoding="utf-8")
    (tmp_path / "events.csv").write_text(
        f"user_id,item_id,type,time\n{USER},i1,view,2026-01-01T00:00:00Z\n{LEAVER},i2,view,2026-01-01T00:00:00Z\n",
        encoding="utf-8",
    )
    (tmp_path / "users.csv").write_text(f"user_id,city\n{USER},Gdańsk\n", encoding="utf-8")
    (tmp_path / "consent.csv").write_text(f"user_id,ok\n{LEAVER},no\n", encoding="utf-8")
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return path


def test_tables_get_the_same_pseudonyms_and_join(config: Path) -> None:
    file = read_config(config)
    dataset = file.dataset.model_copy(update={"pseudonyms": PseudonymsConfig(key_file="secret.key")})
    tables, plain = load_tables(dataset, file.folder), load_tables(file.dataset, file.folder)
    assert sorted(map(KEY.of, plain.events.users)) == tables.events.users.tolist()
    assert tables.users.ids.tolist() == [KEY.of(USER)]
    assert tables.consent is not None
    assert set(tables.consent.declared) == {KEY.of(LEAVER)}
    assert tables.events.items.tolist() == plain.events.items.tolist()
    assert tables.fingerprint != plain.fingerprint


def life(ask: Callable[..., httpx.Response]) -> list[httpx.Response]:
    """All that a person and a company ask of a service."""
    visit = {"event_id": "e1", "anonymous_id": VISITOR, "item_id": "i3", "type": "view"}
    act = {"event_id": "e2", "user_id": USER, "item_id": "i4", "type": "buy", "value": 3}
    wrong = {"event_id": USER, "user_id": USER, "item_id": "i4", "type": "nothing of the kind"}
    return [
        ask("events", events=[visit, act, wrong, {"user_id": USER, "anonymous_id": VISITOR}, USER]),
        ask("consent", user_id=USER, answers={"train": "granted"}),
        ask("users", users=[{"user_id": USER, "attributes": {"city": "Gdańsk"}}, {"user_id": USER}]),
        ask("recommend", user_id=USER, anonymous_id=VISITOR, k=3, explain=True),
        ask("users/link", user_id=USER, anonymous_id=VISITOR),
        ask("recommend", user_id=USER, k=3),
        ask("recommend/batch", user_ids=[USER, LEAVER], k=2),
        ask("explain", user_id=USER, item_id="i9"),
        ask("preferences", user_id=USER, set=[{"item_id": "i7", "say": "dislike"}]),
        ask("profile", user_id=USER),
        ask("profile/correct", user_id=USER, attributes={"city": None}),
        ask("privacy/export", user_id=USER),
        ask("recommend", user_id={"nested": USER}),
    ]


def test_after_a_life_no_byte_names_anybody(
    run_door: Callable[..., str],
    new_stand_in: Callable[[], Any],
    agreed: Any,
    config: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "bentoml")
    folder = config.parent
    (folder / "kept").mkdir()
    url, log = f"sqlite:///{folder}/kept/state.db", folder / "log"
    state, items = open_state(url, pseudonyms=KEY), open_item_log(url)
    desk = Desk(cast("Pipeline", new_stand_in()), state, items, consent=agreed)
    with httpx.Client(base_url=run_door(lambda: desk), timeout=20) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        answers = life(lambda path, **body: client.post(f"/v1/{path}", json=body))
        assert [one.status_code for one in answers] == [200] * 12 + [400], [one.text for one in answers]
        assert answers[0].json()["stored"] == 2
        assert answers[9].json()["user_id"] == USER
        assert {one["event_id"] for one in answers[9].json()["events"]} == {"e1", "e2"}
        assert "tbp_" not in "".join(one.text for one in answers[:11])
        with zipfile.ZipFile(BytesIO(answers[11].content)) as archive:
            texts = {name: archive.read(name).decode() for name in archive.namelist()}
        assert json.loads(texts["ids.json"]) == {"user_ids": [USER], "anonymous_ids": [KEY.of(VISITOR)]}
        assert len(json.loads(texts["audit.json"])) >= 6
        page = client.post("/v1/recommend", json={"user_id": USER, "k": 2, "after": answers[5].json()["request_id"]})
        assert page.status_code == 200
        desk.served.flush()  # type: ignore[union-attr]
        export_logs(config, url, log, None)
        assert not names(folder / "kept", log)
        assert USER not in caplog.text
        assert VISITOR not in caplog.text
        assert client.post("/v1/privacy/erase", json={"user_id": USER}).status_code == 200
    erase_person(url, LEAVER, None, reach_of(config))
    found = verify_person(url, LEAVER, None, Reach(searched=(log,), pseudonyms=KEY))
    assert found.clean, found
    assert not names(folder / "kept", log)
    section = yaml.safe_load((log / "dataset.yaml").read_text(encoding="utf-8"))["dataset"]
    assert section["pseudonyms"] == {"key_file": str(folder / "secret.key")}


def names(*folders: Path) -> list[str]:
    """Files that hold an id of anybody as it is."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert len(files) >= 3
    return [str(file) for file in files if any(one.encode() in file.read_bytes() for one in (USER, VISITOR, LEAVER))]


def test_exported_logs_join_the_tables_of_users(config: Path) -> None:
    url, log = f"sqlite:///{config.parent}/state.db", config.parent / "log"
    with closing(open_state(url, pseudonyms=KEY)) as state:
        state.append([event(1, USER), event(2, LEAVER)])
        state.erase(LEAVER, moment=NOW)
    export_logs(config, url, log, None)
    write_tombstones(url, log / "_erased.json")
    file = read_config(log / "dataset.yaml")
    tables = load_tables(file.dataset, file.folder)
    assert tables.events.users.tolist() == tables.users.ids.tolist() == [KEY.of(USER)]
    assert tables.users.columns["city"].tolist() == ["Gdańsk"]


def test_marks_of_pseudonyms_stop_a_training_that_reads_plain_ids(config: Path) -> None:
    url = f"sqlite:///{config.parent}/state.db"
    with closing(open_state(url, pseudonyms=KEY)) as state:
        state.erase(LEAVER, moment=NOW * 2)
    write_tombstones(url, config.parent / "_erased.json")
    file = read_config(config)
    with pytest.raises(DataError, match="none of the erased would be found"):
        load_tables(file.dataset, file.folder)
    dataset = file.dataset.model_copy(update={"pseudonyms": PseudonymsConfig(key_file="secret.key")})
    assert load_tables(dataset, file.folder).events.users.tolist() == [KEY.of(USER)]


def test_what_an_erasure_finds_in_other_files_is_found_by_both_forms(tmp_path: Path) -> None:
    url, runs = f"sqlite:///{tmp_path}/state.db", tmp_path / "runs"
    runs.mkdir()
    (runs / "a.csv").write_text(f"user_id\n{USER}\n", encoding="utf-8")
    (runs / "b.csv").write_text(f"user_id\n{KEY.of(USER)}\n", encoding="utf-8")
    reach = Reach(searched=(runs,), pseudonyms=KEY)
    receipt = erase_person(url, USER, None, reach)
    (place,) = [one for one in receipt["places"] if one["place"] == str(runs)]
    assert (place["status"], place["count"]) == ("found", 2)
    assert not verify_person(url, USER, None, reach).clean

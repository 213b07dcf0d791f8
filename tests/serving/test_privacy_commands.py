"""`tailorbird privacy` and `state expire`: what an operator does with one person from the terminal."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tailorbird
from features.moments import DAY
from features.tombstones import read_tombstones
from serving.desk.desk import wall_clock
from serving.state import open_state
from serving.state.protocol import StoredEvent


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with one person and their visits, in the working directory of a test."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/store/state.db"
    store = open_state(url)
    event = StoredEvent("e1", "i1", "view", wall_clock() - DAY, "person-ann")
    store.append([event, event._replace(event_id="e2", moment=event.moment - 40 * DAY), event._replace(event_id="e3")])
    store.append([event._replace(event_id="e4", user_id=None, anonymous_id="cookie-ann")])
    store.close()
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(tailorbird.main, [*arguments])


def test_a_person_is_exported_erased_and_verified(url: str, tmp_path: Path) -> None:
    exported = run("privacy", "export", "person-ann", "--state", url, "-o", "out/ann.zip")
    assert (exported.exit_code, exported.output) == (0, "out/ann.zip\n")
    assert (tmp_path / "out" / "ann.zip").stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(tmp_path / "out" / "ann.zip") as archive:
        assert len(json.loads(archive.read("events.json"))) == 3
    (tmp_path / "runs").mkdir()
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mail.csv").write_text("person-ann,i1\n")
    erased = run("privacy", "erase", "person-ann", "--state", url)
    receipt = json.loads(erased.output)
    assert receipt["removed"]["events"] == 3
    assert [(one["place"], one["status"]) for one in receipt["places"]] == [
        ("the store's files", "clean"),
        ("runs", "clean"),
        ("copies elsewhere", "not_reached"),
    ]
    assert {one["what"].partition(" ")[0] for one in receipt["remains"]} == {"weights", "counts", "marks:", "entries"}
    verified = run("privacy", "verify", "person-ann", "--state", url)
    assert verified.exit_code == 0
    assert verified.output.splitlines()[-1] == f"clean: erased at {receipt['erased']}"
    elsewhere = run("privacy", "verify", "person-ann", "--state", url, "--search", "lists")
    assert elsewhere.exit_code == 1
    assert "found (1)        lists: nothing is changed here, remove it yourself: lists/mail.csv" in elsewhere.output
    assert elsewhere.output.splitlines()[-1].startswith("not clean")


def test_a_visitor_is_named_by_an_option(url: str) -> None:
    assert (
        json.loads(run("privacy", "erase", "--visitor", "cookie-ann", "--state", url).output)["removed"]["events"] == 1
    )
    assert run("privacy", "verify", "--visitor", "cookie-ann", "--state", url).exit_code == 0
    unknown = run("privacy", "verify", "nobody", "--state", url)
    assert unknown.exit_code == 1
    assert "no erasure of this person is known here" in unknown.output


@pytest.mark.parametrize("command", [["erase"], ["verify"], ["export", "-o", "x.zip"]])
def test_nobody_is_refused(url: str, command: list[str]) -> None:
    told = run("privacy", *command, "--state", url)
    assert told.exit_code == 1
    assert "nobody is named" in told.output


def test_each_deed_stands_in_the_audit_log_without_an_id(url: str, tmp_path: Path) -> None:
    run("privacy", "export", "person-ann", "--state", url, "-o", "ann.zip")
    run("privacy", "erase", "person-ann", "--state", url)
    run("privacy", "verify", "person-ann", "--state", url)
    store = open_state(url)
    assert [one.action for one in store.audit_log.after(0)] == ["privacy_export", "privacy_erase", "privacy_verify"]
    store.close()
    assert not any(b"person-ann" in path.read_bytes() for path in (tmp_path / "store").iterdir())


def test_marks_are_written_for_trainings(url: str, tmp_path: Path) -> None:
    run("privacy", "erase", "person-ann", "--state", url)
    assert (
        run("privacy", "tombstones", "--state", url, "-o", "etc/erased.json").output == "1 marks in etc/erased.json\n"
    )
    assert read_tombstones(tmp_path / "etc" / "erased.json").of_user("person-ann") is not None


def test_what_is_too_old_expires(url: str, tmp_path: Path) -> None:
    config = "dataset: {order: {time: at}, events: {}, types: {view: {}}}\nserving: {retention: {events: {view: 30}}}\n"
    (tmp_path / "shop.yaml").write_text(config)
    expired = run("state", "expire", "--config", "shop.yaml", "--state", url)
    assert expired.output.splitlines()[0] == "1 view"
    (tmp_path / "shop.yaml").write_text(config.replace("{view: 30}", "{hug: 30}"))
    assert "no such event type" in run("state", "expire", "--config", "shop.yaml", "--state", url).output

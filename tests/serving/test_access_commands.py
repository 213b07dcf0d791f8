"""Keys and the audit log on the command line, and addresses at which nobody is to be answered by chance."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tailorbird
from features.errors import ConfigError
from serving.access import administration
from serving.access.administration import end_after
from serving.access.guard import LOOK_SECONDS, Guard
from serving.access.keys import found, keys_from_environment
from serving.access.listening import check_listening
from serving.access.settings import AccessConfig
from serving.lifecycle import launch
from serving.lifecycle.repeating import Repeating
from serving.state import open_key_store, open_state
from serving.state.audit_log import Deed
from serving.state.protocol import StoredEvent

NOW = 1_767_225_600_000
HOUR = 3_600_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def run(url: str, *arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(tailorbird.main, [*arguments, "--state", url])
    assert result.exit_code == status, result.output
    return result


def create(url: str, *options: str) -> str:
    """The text of a new key, which is the last line."""
    return run(url, "keys", "create", *options).stdout.splitlines()[-1]


def entries(url: str, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(url, "audit", "list", *options).stdout.splitlines()]


def test_a_key_is_made_listed_and_ended(url: str) -> None:
    text = create(url, "--scopes", "events, recommend", "--name", "web shop", "--rate", "2.5", "--expires", "90d")
    (key,) = open_key_store(url).keys()
    assert found({key.key_id: key}, text) == key
    assert (key.scopes, key.name, key.rate, key.burst) == (("recommend", "events"), "web shop", 2.5, 5)
    assert key.expires is not None
    assert abs(key.expires - key.made - 90 * 24 * HOUR) < 1_000
    listed = run(url, "keys", "list").stdout
    assert all(one in listed for one in (key.key_id, "web shop", "recommend,events", "2.5/s"))
    assert text.split("_", 2)[2] not in listed
    run(url, "keys", "revoke", key.key_id)
    assert "ended" in run(url, "keys", "list").stdout
    assert [(one["action"], one["detail"]["key"]) for one in entries(url)] == [
        ("keys_create", key.key_id),
        ("keys_revoke", key.key_id),
    ]
    assert text not in json.dumps(entries(url))


def test_a_rotated_key_goes_on_beside_the_new_one(url: str) -> None:
    create(url, "--scopes", "person", "--name", "backend", "--rate", "3", "--burst", "4")
    (before,) = open_key_store(url).keys()
    text = run(url, "keys", "rotate", before.key_id, "--keep", "2h").stdout.splitlines()[-1]
    old, new = open_key_store(url).keys()
    assert found({new.key_id: new}, text) == new
    assert (new.scopes, new.name, new.rate, new.burst, new.expires) == (("person",), "backend", 3, 4, None)
    assert old.expires is not None
    assert abs(old.expires - new.made - 2 * HOUR) < 1_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "--scopes", "root"], "there is no scope root"),
        (["create", "--scopes", ""], "a key needs at least one scope"),
        (["create", "--scopes", "admin", "--expires", "soon"], "'soon' is no time"),
        (["create", "--scopes", "admin", "--rate", "0"], "0.0 is not in the range"),
        (["create", "--scopes", "admin", "--no-store", "--rate", "5"], "has no --expires, --rate or --burst"),
        (["revoke", "0123456789ab"], "there is no key 0123456789ab"),
        (["rotate", "0123456789ab"], "there is no key 0123456789ab"),
    ],
)
def test_what_cannot_be_is_told_and_stores_nothing(url: str, arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(tailorbird.main, ["keys", *arguments, "--state", url])
    assert result.exit_code in (1, 2)
    assert sentence in result.stderr
    assert list(open_key_store(url).keys()) == []


def test_a_key_of_the_environment_is_stored_nowhere(url: str) -> None:
    line, text = run(url, "keys", "create", "--scopes", "admin", "--no-store").stdout.splitlines()
    (key,) = keys_from_environment(line.removeprefix("TAILORBIRD_KEYS="))
    assert found({key.key_id: key}, text) == key
    assert list(open_key_store(url).keys()) == []


def test_the_log_is_shown_by_person_and_in_parts(url: str) -> None:
    state = open_state(url)
    state.append([StoredEvent("e1", "i1", "view", 1, "ann"), StoredEvent("e2", "i1", "view", 1, None, "v")])
    for action, ids in (("profile", ("ann", None)), ("consent", (None, "v")), ("profile", ("bob", None))):
        state.audit_log.note(Deed(action, "k", NOW, "r", [ids]))
    state.close()
    assert [one["action"] for one in entries(url, "--user", "ann")] == ["profile"]
    assert [one["action"] for one in entries(url, "--visitor", "v")] == ["consent"]
    assert entries(url, "--user", "cat") == []
    assert [one["number"] for one in entries(url, "--after", "1", "--limit", "1")] == [2]
    assert entries(url, "--user", "ann", "--after", "1") == []
    assert "ann" not in json.dumps(entries(url))
    assert entries(url)[0]["moment"] == "2026-01-01T00:00:00.000Z"


def test_promoting_and_going_back_stand_in_the_log(url: str, tmp_path: Path) -> None:
    for command in (["promote", str(tmp_path / "none")], ["rollback"]):
        run(url, *command, "--registry", str(tmp_path / "registry"), status=1)
    assert [(one["action"], one["actor"] != "") for one in entries(url)] == [("promote", True), ("rollback", True)]


@pytest.mark.parametrize(
    ("text", "moment"),
    [("90d", NOW + 90 * 24 * HOUR), ("12h", NOW + 12 * HOUR), ("30m", NOW + HOUR // 2), ("45s", NOW + 45_000),
     ("2026-01-01T01:00:00Z", NOW + HOUR)],
)  # fmt: skip
def test_an_end_is_a_length_or_a_time(text: str, moment: int) -> None:
    assert end_after(text, NOW) == moment


def test_an_account_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 1034")

    monkeypatch.setattr("getpass.getuser", fail)
    assert administration.by_command("promote").actor == f"account {os.getuid()}"


def test_every_worker_knows_a_new_and_an_ended_key_within_a_second(url: str) -> None:
    """What a command in another process does, seen by a guard whose thread looks as a worker's does."""
    guard = Guard(open_key_store(url))
    thread = Repeating("keys", guard.look, LOOK_SECONDS)
    thread.start()
    environment = {**os.environ, "TAILORBIRD_STATE": url}
    command = [sys.executable, "-m", "tailorbird", "keys", "create", "--scopes", "recommend"]
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    made = time.monotonic()
    while found(guard._keys, text) is None:
        assert time.monotonic() - made < 1.0
        time.sleep(0.01)
    key_id = text.split("_")[1]
    administration.revoke_key(url, key_id)
    ended = time.monotonic()
    while guard._keys[key_id].expires is None:
        assert time.monotonic() - ended < 1.0
        time.sleep(0.01)
    thread.stop()
    guard.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example"])
def test_an_address_that_others_reach_needs_a_key(url: str, host: str) -> None:
    environment = {"TAILORBIRD_STATE": url}
    with pytest.raises(ConfigError, match="nobody has a key") as told:
        check_listening(host, AccessConfig(), environment)
    assert "tailorbird keys create" in str(told.value)
    check_listening("127.0.0.1", AccessConfig(), environment)
    check_listening(host, AccessConfig(open=True, why="only our gateway reaches it"), environment)
    line = run(url, "keys", "create", "--scopes", "recommend", "--no-store").stdout.splitlines()[0]
    check_listening(host, AccessConfig(), {**environment, "TAILORBIRD_KEYS": line.partition("=")[2]})
    create(url, "--scopes", "recommend")
    check_listening(host, AccessConfig(), environment)


def test_serve_refuses_before_it_starts_anything(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise AssertionError("it was started")

    def verified(_: Path) -> Mapping[str, Any]:
        return {}

    monkeypatch.setattr(launch, "verify_bundle", verified)
    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("os.execve", start)
    for begin in (launch.launch, launch.serve):
        with pytest.raises(ConfigError, match=r"others reach 0\.0\.0\.0, and nobody has a key"):
            begin(tmp_path, state=url, host="0.0.0.0")


def test_bentoml_serve_refuses_too(url: str, tmp_path: Path) -> None:
    """Without --host it would listen everywhere."""
    environment = {**os.environ, "TAILORBIRD_STATE": url, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:Tailorbird", "--port", "0"]
    ended = subprocess.run(
        command, cwd=launch.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "tailorbird: host: others reach 0.0.0.0, and nobody has a key" in ended.stderr

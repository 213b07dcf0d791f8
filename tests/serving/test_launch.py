"""What is checked before a server starts, and what a newcomer is told."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from features.errors import BundleError, ConfigError
from features.pseudonyms import Pseudonyms
from serving.lifecycle import launch
from serving.lifecycle.opening import PACKED_BUNDLE, bundle_path, serving_config
from serving.lifecycle.registry import REGISTRY
from serving.state import open_state
from serving.state.protocol import StoredEvent


def test_a_folder_that_is_no_bundle_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        launch.launch(tmp_path, state="sqlite://:memory:")


def test_no_bundle_and_two_are_told(tmp_path: Path) -> None:
    assert not PACKED_BUNDLE.exists()
    with pytest.raises(ConfigError, match="no bundle is named"):
        launch.launch()
    with pytest.raises(ConfigError, match="both a bundle and a registry are named"):
        launch.launch(tmp_path, tmp_path)


def test_a_registry_names_the_live_bundle(tmp_path: Path) -> None:
    (tmp_path / REGISTRY).write_text('{"live": "/some/bundle", "previous": null}')
    assert bundle_path({"TAILORBIRD_REGISTRY": str(tmp_path)}) == Path("/some/bundle")


def test_a_registry_that_points_to_no_bundle_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / REGISTRY).write_text('{"live": "/some/bundle", "previous": null}')
    with pytest.raises(BundleError, match="/some/bundle is no bundle"):
        launch.launch(registry=tmp_path, state="sqlite://:memory:")


def test_workers_cannot_share_a_state_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "verify_bundle", lambda path: {})
    with pytest.raises(ConfigError, match="cannot share a state in memory"):
        launch.launch(tmp_path, state="sqlite://:memory:", workers=2)


def test_another_key_of_the_pseudonyms_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(launch, "verify_bundle", lambda path: {})
    url, key = f"sqlite:///{tmp_path}/state.db", tmp_path / "key"
    open_state(url, pseudonyms=Pseudonyms(b"k" * 32)).close()
    (tmp_path / "c.yaml").write_text("dataset: {}\nserving: {pseudonyms: {key_file: key}}\n")
    for content, message in (("o" * 32, "begun with another key"), ("short", "has 5 characters")):
        key.write_text(content)
        with pytest.raises(ConfigError, match=message):
            launch.launch(tmp_path, state=url, config=tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="no key for them was given"):
        launch.launch(tmp_path, state=url)


def test_the_server_gets_absolute_paths_and_nothing_of_an_older_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: dict[str, Any] = {}
    monkeypatch.setattr(launch, "verify_bundle", lambda path: {})
    monkeypatch.setattr("subprocess.Popen", lambda command, **how: started.update(how, command=command))
    monkeypatch.setenv("TAILORBIRD_REGISTRY", "of another time")
    monkeypatch.chdir(tmp_path)
    launch.launch("bundle", state="sqlite:///var/state.db", port=3999, workers=3)
    given = {name: value for name, value in started["env"].items() if name.startswith("TAILORBIRD_")}
    assert given == {
        "TAILORBIRD_BUNDLE": f"{tmp_path}/bundle",
        "TAILORBIRD_STATE": f"sqlite:///{tmp_path}/var/state.db",
        "TAILORBIRD_WORKERS": "3",
    }
    assert started["cwd"] == launch.ROOT
    assert "--port 3999" in " ".join(started["command"])


def test_serving_replaces_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Any] = []
    monkeypatch.setattr(launch, "verify_bundle", lambda path: {})
    monkeypatch.setattr("os.execve", lambda *how: started.append((Path.cwd(), *how)))
    monkeypatch.chdir(tmp_path)
    launch.serve("bundle", port=3999)
    ((folder, python, command, environment),) = started
    assert (folder, python) == (launch.ROOT, sys.executable)
    assert command == launch.command_of("127.0.0.1", 3999)
    assert environment["TAILORBIRD_BUNDLE"] == f"{tmp_path}/bundle"


def test_the_config_and_the_environment_say_how_to_serve(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("dataset: {}\nserving: {threads: 3, workers: 2}\n")
    environment = {"TAILORBIRD_CONFIG": str(tmp_path / "c.yaml")}
    assert serving_config({}).threads == 2
    assert serving_config(environment).threads == 3
    assert serving_config({**environment, "TAILORBIRD_WORKERS": "5"}).workers == 5
    with pytest.raises(ConfigError, match="workers"):
        serving_config({"TAILORBIRD_WORKERS": "many"})


def test_a_newcomer_is_told_a_person_with_a_history(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    state = open_state(url)
    state.append([StoredEvent(f"e{number}", "i", "view", number, "o'neil & co") for number in range(3)])
    state.append([StoredEvent("e9", "i", "view", 9, "a")])
    state.close()
    page, curl = launch.announce(url, 3000).splitlines()
    assert page == "page: http://127.0.0.1:3000/?user=o%27neil%20%26%20co"
    assert shlex.split(curl)[-1] == '{"user_id": "o\\u0027neil & co", "k": 5, "explain": true}'

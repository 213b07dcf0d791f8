"""The command as its user meets it: help, one sentence per error, exit statuses, and what stands on stdout."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import tailorbird
from tests.command_line import run, told

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "tailorbird"]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are given no store note what they do in one of the test's own."""
    monkeypatch.setenv("TAILORBIRD_STATE", f"sqlite:///{tmp_path}/store/state.db")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands(tailorbird.main))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_its_options(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    command = COMMANDS[path]
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", ["train", "tune", "evaluate", "recommend", "open_bundle"])
def test_the_names_that_user_code_imports_are_documented(name: str) -> None:
    function = getattr(tailorbird, name)
    assert "Raises" in (function.__doc__ or "")
    assert all(one.annotation is not one.empty for one in inspect.signature(function).parameters.values())


def test_train_ends_with_the_path_of_the_bundle(trained: Any) -> None:
    """The run is there already, so that it returns at once."""
    result = run("train", "--config", trained.config_path, "--run", trained.run)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(trained.bundle)
    assert result.stderr == ""


def test_promote_and_roll_back(trained: Any, tmp_path: Path) -> None:
    registry, other = tmp_path / "registry", tmp_path / "other"
    shutil.copytree(trained.bundle, other)
    assert run("promote", trained.bundle, "--registry", registry).stdout == f"live: {trained.bundle}\n"
    assert "knows no previous bundle" in told(run("rollback", "--registry", registry))
    assert run("promote", other, "--registry", registry).stdout == f"live: {other}\n"
    assert run("rollback", "--registry", registry).stdout == f"live: {trained.bundle}\n"


def test_a_canary_and_a_shadow_beside_live(trained: Any, tmp_path: Path) -> None:
    registry, other = tmp_path / "registry", tmp_path / "other"
    shutil.copytree(trained.bundle, other)
    assert "no bundle is live" in told(run("promote", other, "--registry", registry, "--shadow"))
    live = run("promote", trained.bundle, "--registry", registry).stdout
    assert run("promote", other, "--registry", registry, "--shadow").stdout == f"{live}shadow: {other}\n"
    canary = f"canary: {other}, answers 0.1 of all people\n"
    assert run("promote", other, "--registry", registry, "--canary", "0.1").stdout == live + canary
    assert "a share of people is from 0 to 1" in told(run("promote", other, "--registry", registry, "--canary", "7"))
    assert run("promote", other, "--registry", registry, "--canary", "1", "--shadow").exit_code == 2
    assert "knows no shadow" in told(run("rollback", "--registry", registry, "--shadow"))
    assert run("rollback", "--registry", registry, "--canary").stdout == live
    run("promote", other, "--registry", registry, "--shadow")
    assert run("rollback", "--registry", registry).stdout == live


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    for command in (["promote"], ["bento", "--bundle"], ["serve", "--bundle"]):
        assert "is no bundle" in told(run(*command, tmp_path))


@pytest.mark.parametrize("options", [(), ("--bundle", "a", "--registry", "b")], ids=["neither", "both"])
def test_serve_needs_one_bundle(options: tuple[str, ...]) -> None:
    assert told(run("serve", *options)) == "name what to serve: either --bundle or --registry"


def test_a_world_is_simulated(tmp_path: Path) -> None:
    result = run("simulate", "--events", "1000", "-o", tmp_path / "world")
    assert result.stdout == f"{tmp_path / 'world' / 'config.yaml'}\n"
    assert "got 10" in told(run("simulate", "--events", "10", "-o", tmp_path / "world"))


def test_what_is_no_movielens_folder_is_told(tmp_path: Path) -> None:
    assert "holds neither ratings.dat" in told(run("import", "movielens", tmp_path, "-o", tmp_path / "out"))


def test_a_package_of_the_same_name_from_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-m", "tailorbird", "rollback"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: the package 'features' was found at {tmp_path / 'features'}, not beside")


@pytest.mark.slow
def test_a_training_says_nothing_but_its_report(trained: Any, tmp_path: Path) -> None:
    """Not what Lightning advises, nor which operators an exporter lacks; bars only where somebody watches."""
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    command = [*COMMAND, "train", "--config", str(trained.config_path), "--run", str(tmp_path / "run")]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.startswith("# Training report")
    assert result.stdout.splitlines()[-1] == str(tmp_path / "run" / "bundle")


def test_an_image_without_training_offers_what_serving_does(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("models", "training") else found(name)
    )
    offered = set(re.findall(r"^  ([a-z-]+) ", run("--help").stdout, re.MULTILINE))
    assert {"keys", "promote", "rollback", "serve", "state"} <= offered
    assert not {"train", "retrain", "simulate"} & offered
    assert "No such command 'train'" in run("train").stderr

"""The command as its user meets it: help, one sentence per error, exit statuses, and what stands on stdout."""

import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

import tailorbird

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "tailorbird"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(tailorbird.main, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are given no store note what they do in one of the test's own."""
    monkeypatch.setenv("TAILORBIRD_STATE", f"sqlite:///{tmp_path}/store/state.db")


def told(result: Result) -> str:
    """The one sentence of a command that was refused; a stack trace would be another exception."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.stderr.strip().splitlines()[-1].removeprefix("Error: ")


class Shop:
    """A small table of events and a config, to be spoiled."""

    def __init__(self, folder: Path) -> None:
        draw = np.random.default_rng(0)
        self.folder = folder
        self.events = pd.DataFrame(
            {
                "user_id": [f"u{number % 20}" for number in range(200)],
                "item_id": [f"i{number}" for number in draw.integers(0, 30, 200)],
                "time": [f"2026-01-{1 + number // 10:02}T12:{number % 10:02}:00Z" for number in range(200)],
            }
        )
        self.content: dict[str, Any] = {
            "dataset": {
                "consent": {"assume": "granted", "basis": "a test"},
                "order": {"time": "time"},
                "events": {"path": "events.csv"},
                "types": {"view": {"repeat": "always"}},
            }
        }

    def written(self) -> Path:
        self.events.to_csv(self.folder / "events.csv", index=False)
        path = self.folder / "shop.yaml"
        path.write_text(yaml.safe_dump(self.content), encoding="utf-8")
        return path


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


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


@pytest.mark.parametrize("command", ["train", "evaluate", "check"])
def test_an_unknown_key_is_told_by_its_dotted_name(shop: Shop, command: str) -> None:
    shop.content["dataset"]["events"]["colour"] = "red"
    sentence = told(run(command, "--config", shop.written()))
    assert sentence == "dataset.events.colour: no such key. See docs/configuration.md for the keys that exist."


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"towerz": {}}, "towerz: no such key. See docs/configuration.md for the keys that exist."),
        ({"towers": {"heads": 0}}, "towers.heads: should be greater than or equal to 1; got 0"),
        ({"towers": {"heads": 3}}, "towers: heads must divide embedding_dim; 3 does not divide 64"),
        ({"dataset": {"events": {}, "types": {"view": {}}}}, "dataset.order: this key is required"),
    ],
    ids=["section", "value", "two values", "missing"],
)
def test_a_wrong_section_is_told(shop: Shop, section: dict[str, Any], sentence: str) -> None:
    shop.content |= section
    assert told(run("train", "--config", shop.written())) == sentence


def test_a_config_that_is_absent_or_empty_is_told(tmp_path: Path) -> None:
    assert "no file" in told(run("train", "--config", tmp_path / "none.yaml"))
    (tmp_path / "empty.yaml").write_text("seed: 1\n")
    assert "has no `dataset:` section" in told(run("train", "--config", tmp_path / "empty.yaml"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--minutes", "0"), "--minutes: a budget must be above 0 minutes; got 0"),
        (("--minutes", "-3"), "--minutes: a budget must be above 0 minutes; got -3"),
        (("--minutes", "1", "-o", "elsewhere/tuned.yaml"), "does not lie beside"),
        (("--minutes", "1", "-o", "shop.yaml"), "is the configuration to be tuned"),
    ],
    ids=["no time", "less than none", "elsewhere", "itself"],
)
def test_a_tuning_that_cannot_be_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], sentence: str
) -> None:
    shop.written()
    monkeypatch.chdir(shop.folder)
    assert sentence in told(run("tune", "--config", "shop.yaml", "--run", "run", *options))
    assert not (shop.folder / "run").exists()


def test_a_config_without_a_dataset_is_not_tuned(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("seed: 1\n")
    assert "has no `dataset:` section" in told(run("tune", "--minutes", "1", "--config", tmp_path / "empty.yaml"))


def missing_column(shop: Shop) -> None:
    shop.content["dataset"]["events"]["user"] = "customer"


def missing_file(shop: Shop) -> None:
    shop.content["dataset"]["events"]["path"] = "nowhere.csv"


def empty_table(shop: Shop) -> None:
    shop.events = shop.events.head(0)


def one_user(shop: Shop) -> None:
    shop.events["user_id"] = "u1"


def float_ids(shop: Shop) -> None:
    shop.events["user_id"] = np.arange(200) % 20 + 0.0


def future_times(shop: Shop) -> None:
    shop.events["time"] = "2199-01-01T00:00:00Z"


SPOILED = {
    missing_column: "events.customer: missing_column: `events.user` names a column that does not exist",
    missing_file: "dataset.events.path: unreadable_table: no file 'nowhere.csv'",
    empty_table: "events: empty_table: the table has no rows",
    one_user: "events.user_id: single_user: all events are of one user",
    float_ids: "events.user_id: float_id:",
    future_times: "events.time: future_time:",
}


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_bad_tables_stop_a_training_with_the_rule_and_its_column(shop: Shop, command: str, spoil: Any) -> None:
    spoil(shop)
    sentence = told(run(command, "--config", shop.written(), "--run", shop.folder / "run"))
    assert sentence.startswith(SPOILED[spoil])
    assert sentence.endswith("check.md; nothing was repaired or trained.")
    assert json.loads((shop.folder / "run" / "check.json").read_text())["errors"] > 0


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_check_exits_with_1_when_a_rule_is_broken(shop: Shop, spoil: Any) -> None:
    spoil(shop)
    result = run("check", "--config", shop.written(), "-o", shop.folder / "check")
    assert result.exit_code == 1
    assert "ERROR" in result.stdout


def test_check_exits_with_0_when_every_rule_holds(shop: Shop) -> None:
    result = run("check", "--config", shop.written(), "-o", shop.folder / "check")
    assert (result.exit_code, result.stdout) == (0, "Every rule holds.\n")
    assert {path.name for path in (shop.folder / "check").iterdir()} == {"check.json", "check.md"}


def test_check_shows_ids_only_when_asked(shop: Shop) -> None:
    shop.events.loc[3, "user_id"] = "secret-name"
    shop.events.loc[3, "time"] = "2199-01-01T00:00:00Z"
    shop.content["dataset"]["users"] = {"path": "users.csv"}
    pd.DataFrame({"user_id": [f"u{number}" for number in range(20)]}).to_csv(shop.folder / "users.csv", index=False)
    arguments = ("check", "--config", shop.written(), "-o", shop.folder / "check")
    assert "secret-name" not in run(*arguments).output
    assert "secret-name" in run(*arguments, "--show-ids").output
    assert "secret-name" not in (shop.folder / "check" / "check.md").read_text()


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        (("train",), "nothing says who agrees to train: all 200 events"),
        (("state", "load"), "nothing says what these people agreed to: none of 200 events may be stored"),
    ],
)
def test_without_a_word_on_consent_nothing_is_read(
    shop: Shop, command: tuple[str, ...], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.folder)
    del shop.content["dataset"]["consent"]
    more = ("--run", shop.folder / "run") if command == ("train",) else ("--state", "sqlite:///state.db")
    sentence = told(run(*command, "--config", shop.written(), *more))
    assert sentence.startswith("dataset.consent: ")
    assert lost in sentence


def test_rules_for_live_people_do_not_go_with_tables(shop: Shop) -> None:
    config = shop.written()
    asked = ("--bundle", shop.folder, "--config", config, "--consent", config, "-o", shop.folder / "lists.parquet")
    assert "those of --config have `dataset.consent`" in told(run("recommend", *asked))


def test_order_without_time_cannot_be_evaluated_by_time(shop: Shop) -> None:
    shop.content["dataset"]["order"] = {"sequence": "position"}
    shop.events["position"] = range(200)
    sentence = told(run("evaluate", "--config", shop.written(), "--run", shop.folder / "run"))
    assert sentence == "dataset.order.time: evaluation by time needs events with a time"


def test_events_of_one_moment_cannot_be_cut(shop: Shop) -> None:
    shop.events["time"] = "2026-01-01T00:00:00Z"
    assert "no event lies before the first 80%" in told(
        run("evaluate", "--config", shop.written(), "--run", shop.folder / "run")
    )


@pytest.mark.parametrize("option", [("--share", "1.0"), ("--k", "0")])
def test_figures_out_of_range_are_refused(shop: Shop, option: tuple[str, str]) -> None:
    assert run("evaluate", "--config", shop.written(), *option).exit_code == 2


def test_train_ends_with_the_path_of_the_bundle(trained: Any) -> None:
    """The run is there already, so that it returns at once."""
    result = run("train", "--config", trained.config_path, "--run", trained.run)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(trained.bundle)
    assert result.stderr == ""


def lists(trained: Any, output: Path, *options: str | Path) -> pd.DataFrame:
    given = ("--bundle", trained.bundle, "--k", "3", "-o", output)
    result = run("recommend", *given, *options)
    assert result.exit_code == 0, result.output
    frame = pd.read_parquet(output)
    assert result.stdout == f"{len(frame)} rows in {output}\n"
    return frame


def test_lists_for_some_people_at_a_moment(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name,user_id\nx,u00007\ny,u00001\n")
    given = ("--config", trained.config_path, "--users", tmp_path / "people.csv")
    now = lists(trained, tmp_path / "a.parquet", *given)
    assert list(now.columns) == ["user_id", "item_id", "rank", "score"]
    assert now["user_id"].tolist() == ["u00007"] * 3 + ["u00001"] * 3
    assert now["rank"].tolist() == [1, 2, 3, 1, 2, 3]
    before = lists(trained, tmp_path / "b.parquet", *given, "--at", "2020-01-01T00:00:00Z")
    assert before["score"].tolist() != now["score"].tolist()


def test_a_history_takes_the_place_of_the_events(trained: Any, tmp_path: Path) -> None:
    events = pd.read_parquet(trained.config_path.parent / "events.parquet")
    some = events[events["user_id"] == events["user_id"].mode()[0]].head(30)
    some.to_parquet(tmp_path / "history.parquet")
    given = ("--config", trained.config_path, "--history", tmp_path / "history.parquet")
    assert set(lists(trained, tmp_path / "a.parquet", *given)["user_id"]) == set(some["user_id"])


def test_lists_from_the_state(trained: Any, tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/state.db"
    first, second = (run("state", "load", "--config", trained.config_path, "--state", state) for _ in range(2))
    assert not first.stdout.startswith("0 new events")
    assert second.stdout == f"0 new events in {state}\n"
    (tmp_path / "people.csv").write_text("user_id\nu00007\n")
    frame = lists(trained, tmp_path / "a.parquet", "--state", state, "--users", tmp_path / "people.csv")
    assert set(frame["user_id"]) == {"u00007"}


REFUSED = {
    "neither": ((), "name where people and events come from: either --config or --state"),
    "both": (("--config", "c.yaml", "--state", "sqlite://:memory:"), "either --config or --state"),
    "history of a state": (("--state", "sqlite://:memory:", "--history", "h.csv"), "cannot go with --state"),
    "k": (("--config", "c.yaml", "--k", "501"), "--k: k must be from 1 to 500; got 501"),
    "state": (("--state", "mysql://there"), "names no store"),
    "nobody": (("--state", "sqlite://:memory:"), "there is nobody to recommend to"),
    "users": (("--state", "sqlite://:memory:", "--users", "none.csv"), "--users: no file none.csv"),
    "users column": (("--state", "sqlite://:memory:", "--users", "names.csv"), "names.csv has no column user_id"),
    "users of a frame": (("--state", "sqlite://:memory:", "--users", "names.parquet"), "has no column user_id"),
    "at": (("--state", "sqlite://:memory:", "--at", "noon"), "--at: 'noon' is not an RFC 3339 time"),
}


@pytest.mark.parametrize(("options", "sentence"), REFUSED.values(), ids=REFUSED)
def test_lists_that_cannot_be_made_are_told(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.csv").write_text("name\nx\n")
    pd.DataFrame({"name": ["x"]}).to_parquet(tmp_path / "names.parquet")
    assert sentence in told(run("recommend", "--bundle", trained.bundle, "-o", "lists.parquet", *options))
    assert not (tmp_path / "lists.parquet").exists()


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

"""What the command says about a configuration or tables that cannot be used: one sentence, and nothing is trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.command_line import run, told


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are given no store note what they do in one of the test's own."""
    monkeypatch.setenv("TAILORBIRD_STATE", f"sqlite:///{tmp_path}/store/state.db")


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

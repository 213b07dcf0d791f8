"""Lists for many people by the command: from tables, from a history and from the state."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.command_line import run, told


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are given no store note what they do in one of the test's own."""
    monkeypatch.setenv("TAILORBIRD_STATE", f"sqlite:///{tmp_path}/store/state.db")


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

"""Lists for many people: what the pipeline answers, in the order of people, whatever makes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError, RequestError
from features.people import People
from serving.answers import Query
from serving.bulk import batch
from serving.bulk.batch import recommend_to_file
from serving.bulk.processes import ProcessError
from serving.filters import parse_filter
from serving.pipeline import Pipeline
from serving.state import load_tables_into_state, open_item_log, open_state
from serving.state.item_log import ItemEdit


@pytest.fixture(scope="module")
def people(trained: Any) -> People:
    return People(trained.config.dataset, trained.tables)


@pytest.fixture(scope="module")
def loaded(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a state that holds the tables."""
    url = f"sqlite:///{tmp_path_factory.mktemp('state')}/state.db"
    store = open_state(url)
    load_tables_into_state(store, trained.tables)
    store.close()
    return url


def write(trained: Any, path: Path, **chosen: Any) -> pd.DataFrame:
    given: dict[str, Any] = dict.fromkeys(("config", "state", "users", "history", "at")) | {"k": 10, "processes": 1}
    rows = recommend_to_file(trained.bundle, path, **(given | chosen))
    lists = pd.read_parquet(path)
    assert len(lists) == rows
    return lists


def test_lists_are_what_the_pipeline_answers(trained: Any, pipeline: Pipeline, people: People, tmp_path: Path) -> None:
    lists = write(trained, tmp_path / "lists.parquet", config=trained.config_path)
    assert list(lists.columns) == ["user_id", "item_id", "rank", "score"]
    assert lists["user_id"].drop_duplicates().tolist() == list(people.user_ids)
    now = int(people.events.moments.max())
    for user, part in lists.groupby("user_id"):
        answer = pipeline.recommend(people.person(str(user), now), Query(k=10), now)
        assert part["item_id"].tolist() == [one.item_id for one in answer.items]
        assert part["rank"].tolist() == list(range(1, 11))
        assert part["score"].tolist() == [one.score for one in answer.items]


@pytest.mark.parametrize("source", ["config", "state"])
def test_processes_change_nothing(
    trained: Any, loaded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Many small groups and row groups, so that three processes overtake each other."""
    monkeypatch.setattr(batch, "GROUP_USERS", 7)
    monkeypatch.setattr(batch, "ROW_GROUP", 4)
    given = {"config": trained.config_path} if source == "config" else {"state": loaded, "at": "2026-06-01T12:00:00Z"}
    for processes in (1, 3):
        write(trained, tmp_path / f"{processes}", processes=processes, where="category != 'crime'", **given)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()
    assert pq.ParquetFile(tmp_path / "1").num_row_groups > 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "3"]


def test_a_filter_binds_every_list(trained: Any, pipeline: Pipeline, people: People, tmp_path: Path) -> None:
    text = "category = 'crime'"
    lists = write(trained, tmp_path / "lists", config=trained.config_path, where=text, k=5)
    now = int(people.events.moments.max())
    query = Query(k=5, filter=parse_filter(text, trained.config.dataset))
    for user, part in lists.groupby("user_id"):
        answer = pipeline.recommend(people.person(str(user), now), query, now)
        assert part["item_id"].tolist() == [one.item_id for one in answer.items]
    anything = write(trained, tmp_path / "all", config=trained.config_path, k=5)
    assert set(lists["item_id"]) != set(anything["item_id"])


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_no_filter_is_told_and_leaves_no_file(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(batch, "GROUP_USERS", 50)
    with pytest.raises(RequestError, match="filter"):
        write(trained, tmp_path / "lists", config=trained.config_path, where="colour = 1", processes=processes)
    assert list(tmp_path.iterdir()) == []


def test_lists_know_the_item_changes_of_the_state(trained: Any, loaded: str, tmp_path: Path) -> None:
    log = open_item_log(loaded)
    before = write(trained, tmp_path / "a", state=loaded, at="2026-06-01T12:00:00Z")
    gone = before["item_id"].mode()[0]
    log.change([ItemEdit(gone, None)], 1_780_000_000_000)
    log.close()
    after = write(trained, tmp_path / "b", state=loaded, at="2026-06-01T12:00:00Z")
    assert gone not in set(after["item_id"])
    assert np.all(after.groupby("user_id").size() == 10)


def test_a_number_of_processes_that_nobody_has_is_refused(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--processes: must be from 1 to 256; got 0"):
        write(trained, tmp_path / "lists", config=trained.config_path, processes=0)


def test_a_process_that_cannot_go_on_ends_the_run(
    trained: Any, loaded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "GROUP_USERS", 20)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "onnxruntime.py").write_text("import os; os._exit(9)\n")
    with pytest.raises(ProcessError, match="exit status 9"):
        write(trained, tmp_path / "lists", state=loaded, processes=2)
    assert not (tmp_path / "lists").exists()

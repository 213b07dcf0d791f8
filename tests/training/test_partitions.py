"""Files that are whole are read, others wait; what was read before is known by its content."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.tables import load_tables
from training.retrain.partitions import find_partitions, frames_of, unchanged

DATASET = DatasetConfig.parse(
    {"order": {"time": "time"}, "events": {"path": "log/*/part.parquet"}, "types": {"view": {}},
     "users": {"path": "users.csv",
               "columns": {"plan": {"role": "categorical", "time": "at", "path": "plans.parquet"}}}}
)  # fmt: skip


def events(day: int) -> pd.DataFrame:
    return pd.DataFrame({"user_id": ["u"], "item_id": [f"i{day}"], "time": [f"2026-01-{day:02}T00:00:00Z"]})


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for day in (1, 2):
        (tmp_path / "log" / str(day)).mkdir(parents=True)
        events(day).to_parquet(tmp_path / "log" / str(day) / "part.parquet")
    (tmp_path / "users.csv").write_text("user_id\nu\n")
    plans = {"user_id": ["u"], "plan": ["a"], "at": ["2026-01-01T00:00:00Z"]}
    pd.DataFrame(plans).to_parquet(tmp_path / "plans.parquet")
    return tmp_path


def test_every_file_counts_also_of_equal_names(world: Path) -> None:
    found = find_partitions(DATASET, world, None, world / "known.json")
    tables = [one.table for one in found.whole]
    assert tables == ["events", "events", "users", "users.columns.plan"]
    read = load_tables(DATASET, world, frames_of(DATASET, found.whole))
    assert read.events.items.tolist() == ["i1", "i2"]
    assert read.fingerprint == load_tables(DATASET, world).fingerprint


def test_a_half_written_file_waits_for_the_next_time(world: Path) -> None:
    half = world / "log" / "2" / "part.parquet"
    whole = half.read_bytes()
    half.write_bytes(whole[: len(whole) // 2])
    found = find_partitions(DATASET, world, None, world / "known.json")
    assert found.left == (str(half),)
    assert load_tables(DATASET, world, frames_of(DATASET, found.whole)).events.items.tolist() == ["i1"]
    half.write_bytes(whole)
    again = find_partitions(DATASET, world, None, world / "known.json")
    assert again.left == ()
    assert unchanged(found.whole, again)
    assert len(again.whole) == len(found.whole) + 1


def test_with_a_marker_only_folders_that_hold_it_are_read(world: Path) -> None:
    for folder in (world, world / "log" / "1"):
        (folder / "_SUCCESS").touch()
    found = find_partitions(DATASET, world, "_SUCCESS", world / "known.json")
    assert found.left == (str(world / "log" / "2" / "part.parquet"),)


def test_no_whole_file_is_an_error_that_names_the_table(world: Path) -> None:
    with pytest.raises(ConfigError, match="none of the 2 files is whole") as error:
        find_partitions(DATASET, world, "_SUCCESS", world / "known.json")
    assert error.value.field == "dataset.events.path"


def test_a_touched_file_is_not_new_and_a_changed_one_is(world: Path) -> None:
    first = find_partitions(DATASET, world, None, world / "known.json")
    file = world / "log" / "1" / "part.parquet"
    os.utime(file, (1, 1))
    assert find_partitions(DATASET, world, None, world / "known.json").whole == first.whole
    events(3).to_parquet(file)
    second = find_partitions(DATASET, world, None, world / "known.json")
    assert second.whole != first.whole
    assert not unchanged(first.whole, second)


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_a_memory_that_is_lost_costs_only_reading(world: Path, content: str | None) -> None:
    known = world / "known.json"
    first = find_partitions(DATASET, world, None, known)
    if content is None:
        known.unlink()
    else:
        known.write_text(content)
    assert find_partitions(DATASET, world, None, known) == first


def test_a_file_that_went_is_seen(world: Path) -> None:
    first = find_partitions(DATASET, world, None, world / "known.json")
    shutil.rmtree(world / "log" / "1")
    assert not unchanged(first.whole, find_partitions(DATASET, world, None, world / "known.json"))

"""Shards of every engine are the events that a load makes; folders that are not whole or not ours are refused."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError
from features.events import EventTable
from features.frames import Engine
from features.shards import on_polars
from features.shards.layout import LIST
from features.shards.preparing import prepare, read_prepared
from features.shards.settings import TablesConfig
from features.tables import load_tables

ENGINES = ["pandas", "polars", "duckdb", pytest.param("spark", marks=pytest.mark.spark)]
DATASET: dict[str, Any] = {
    "order": {"time": "at", "sequence": "n"},
    "events": {
        "path": "log/*.parquet",
        "id": "event",
        "type": "kind",
        "value": "amount",
        "position": "slot",
        "request": "request",
        "context": {
            "device": {"role": "categorical"},
            "heat": {"role": "numeric"},
            "since": {"role": "time"},
            "tags": {"role": "multi_categorical"},
        },
    },
    "types": {"view": {}, "seen": {"sign": "exposure"}, "buy": {"weight": 3}},
}


def log(count: int = 4_000, people: int = 90) -> pd.DataFrame:
    """Events with everything that they may carry, ties and repeated ids among them, in no order."""
    draw = np.random.default_rng(5)
    base = pd.Timestamp("2026-01-01", tz="UTC")
    ids = draw.permutation(count)
    ids[: count // 20] = ids[count // 20 : count // 10]
    return pd.DataFrame(
        {
            "event": [f"e{one}" for one in ids],
            "user_id": [f"ü{one}" if one % 7 == 0 else f"u{one}" for one in draw.integers(0, people, count)],
            "item_id": draw.integers(0, 40, count),
            "kind": draw.choice(["view", "seen", "buy"], count, p=[0.5, 0.3, 0.2]),
            "at": base + pd.to_timedelta(draw.integers(0, 500, count), unit="min"),
            "n": draw.integers(0, 3, count),
            "amount": np.where(draw.random(count) < 0.5, np.nan, draw.random(count)),
            "slot": draw.integers(1, 9, count).astype(float),
            "request": draw.choice(np.array(["r1", None], dtype=object), count),
            "device": draw.choice(np.array(["phone", "tv, old", None], dtype=object), count),
            "heat": np.where(draw.random(count) < 0.2, np.nan, draw.integers(0, 5, count).astype(float)),
            "since": base.tz_localize(None) - pd.to_timedelta(draw.integers(0, 9, count), unit="D"),
            "tags": [list("ab")[:one] for one in draw.integers(0, 3, count)],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in two files."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "log").mkdir()
    rows = log()
    for number, part in enumerate((rows[:1_500], rows[1_500:])):
        part.to_parquet(folder / "log" / f"{number}.parquet")
    return folder


@pytest.fixture(autouse=True, scope="module")
def cluster() -> None:
    """Where PySpark is installed, a small one: as many tasks as these tables have any use for."""
    if importlib.util.find_spec("pyspark"):
        small = {"spark.sql.shuffle.partitions": 2, "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
        arguments = " ".join(f"--conf {name}={value}" for name, value in small.items())
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"{arguments} pyspark-shell"


def settings(engine: Engine, output: Path, part_events: int = 300) -> TablesConfig:
    return TablesConfig(engine=engine, prepared=str(output), part_events=part_events, spark_master="local[2]")


def assert_equal_events(found: EventTable, wanted: EventTable) -> None:
    """Keys, counts and texts identical; numbers too, and their sums within 1e-9."""
    assert found.types == wanted.types
    for name in (
        "users",
        "items",
        "user_codes",
        "item_codes",
        "type_codes",
        "moments",
        "values",
        "event_ids",
        "requests",
    ):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    for part in ("contexts", "details"):
        assert getattr(found, part).keys() == getattr(wanted, part).keys()
        for name, column in getattr(wanted, part).items():
            assert repr(getattr(found, part)[name].tolist()) == repr(column.tolist()), name
    assert abs(np.nansum(found.values) - np.nansum(wanted.values)) < 1e-9


@pytest.mark.parametrize("engine", ENGINES)
def test_shards_are_the_events_that_a_load_makes(folder: Path, tmp_path: Path, engine: Engine) -> None:
    dataset, chosen = DatasetConfig.parse(DATASET), settings(engine, tmp_path / "shards")
    prepared = prepare(dataset, folder, chosen, check=engine != "spark")  # whose rules test_checks.py runs
    whole = load_tables(dataset, folder)
    events = read_prepared(dataset, folder, chosen)
    assert_equal_events(events, whole.events)
    assert load_tables(dataset, folder, events=events).fingerprint == whole.fingerprint
    assert len(prepared.parts) > 5
    assert sum(part.events for part in prepared.parts) == len(whole.events) < 4_000
    assert sum(part.users for part in prepared.parts) == len(whole.events.users)
    assert np.array_equal(np.sum([part.types for part in prepared.parts], axis=0), np.bincount(events.type_codes))
    names = sorted(one.name for one in (tmp_path / "shards").iterdir())
    report = [] if engine == "spark" else ["check.json", "check.md"]
    assert names == sorted([LIST, *report, *(part.file for part in prepared.parts)])


def test_polars_in_several_processes_writes_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, chosen = DatasetConfig.parse(DATASET), settings("polars", tmp_path / "shards")
    alone = prepare(dataset, folder, chosen, check=False)
    monkeypatch.setattr(on_polars, "ALONE", 0)
    assert prepare(dataset, folder, chosen, check=False) == alone


@pytest.mark.parametrize("engine", ENGINES)
def test_ids_that_were_not_given_are_the_same(tmp_path: Path, engine: Engine) -> None:
    log(600).drop(columns="event").to_csv(tmp_path / "log.csv", index=False)
    events = {"path": "log.csv", "type": "kind", "value": "amount"}
    dataset = DatasetConfig.parse({**DATASET, "events": events})
    chosen = settings(engine, tmp_path / "shards", part_events=100)
    prepare(dataset, tmp_path, chosen, check=False)
    assert_equal_events(read_prepared(dataset, tmp_path, chosen), load_tables(dataset, tmp_path).events)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_that_cannot_be_read_is_told_and_nothing_is_prepared(tmp_path: Path, engine: Engine) -> None:
    rows = log(300).astype({"at": str})
    rows.loc[7, "at"] = "tomorrow"
    rows.drop(columns="tags").to_csv(tmp_path / "log.csv", index=False)
    dataset = DatasetConfig.parse({**DATASET, "events": {"path": "log.csv", "type": "kind"}})
    with pytest.raises(DataError, match="'tomorrow' in column 'at', which is no time"):
        prepare(dataset, tmp_path, settings(engine, tmp_path / "shards"), check=False)
    assert not (tmp_path / "shards" / LIST).exists()


def test_a_broken_rule_is_told_and_nothing_is_prepared(tmp_path: Path) -> None:
    log(300).assign(kind="sold").drop(columns="tags").to_csv(tmp_path / "log.csv", index=False)
    dataset = DatasetConfig.parse({**DATASET, "events": {"path": "log.csv", "type": "kind"}})
    with pytest.raises(DataError, match="undeclared_type"):
        prepare(dataset, tmp_path, settings("polars", tmp_path / "shards"))
    assert "undeclared_type" in (tmp_path / "shards" / "check.md").read_text(encoding="utf-8")
    assert not (tmp_path / "shards" / LIST).exists()


@pytest.mark.parametrize("engine", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("kind", "message"), [("seen", "no event is positive"), (None, "the table of events is empty")]
)
def test_nothing_to_learn_from_is_told(tmp_path: Path, engine: Engine, kind: str | None, message: str) -> None:
    rows = log(300).assign(kind=kind)
    rows[rows["kind"].notna()].to_parquet(tmp_path / "log.parquet")
    dataset = DatasetConfig.parse({**DATASET, "events": {"path": "log.parquet", "type": "kind"}})
    with pytest.raises(DataError, match=message):
        prepare(dataset, tmp_path, settings(engine, tmp_path / "shards"), check=False)


def test_what_is_no_longer_so_is_prepared_again(folder: Path, tmp_path: Path) -> None:
    dataset, chosen = DatasetConfig.parse(DATASET), settings("pandas", tmp_path / "shards")
    with pytest.raises(DataError, match="nothing was prepared there"):
        read_prepared(dataset, folder, chosen)
    prepared = prepare(dataset, folder, chosen)
    other = DatasetConfig.parse({**DATASET, "types": {**DATASET["types"], "seen": {"sign": "negative"}}})
    with pytest.raises(DataError, match="other settings") as caught:
        read_prepared(other, folder, chosen)
    assert caught.value.hint == "Run `tailorbird prepare` again."
    (tmp_path / "shards" / prepared.parts[2].file).unlink()
    with pytest.raises(DataError, match=r"12 of 13 parts; part-000002\.parquet is the first that is gone"):
        read_prepared(dataset, folder, chosen)
    grown = folder / "log" / "2.parquet"
    log(10).to_parquet(grown)
    with pytest.raises(DataError, match="events of other files than there are now"):
        read_prepared(dataset, folder, chosen)
    grown.unlink()


def test_a_folder_of_somebody_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(ConfigError, match=r"holds letters.txt, which no preparation wrote"):
        prepare(DatasetConfig.parse(DATASET), folder, settings("pandas", tmp_path))
    with pytest.raises(ConfigError, match="no folder is named for prepared events"):
        prepare(DatasetConfig.parse(DATASET), folder, TablesConfig())


def test_pseudonyms_and_shards_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    dataset = DatasetConfig.parse({**DATASET, "pseudonyms": {"key_variable": "KEY"}})
    for act in (prepare, read_prepared):
        with pytest.raises(ConfigError, match="cannot be prepared where people have pseudonyms"):
            act(dataset, folder, settings("pandas", tmp_path / "out"))

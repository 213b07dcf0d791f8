"""What is measured is what ran: whole trees of processes, a data set's own configuration, the lists of a bundle."""

import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.accuracy.datasets import DATASETS, absolute, write_config
from benchmarks.accuracy.measured import BenchmarkError, Measure, alone, run_measured
from benchmarks.accuracy.ranked_lists import fitted_counts, rankings, write_lists
from benchmarks.accuracy.referee import score
from benchmarks.accuracy.trainings import trained as find_training
from features.people import People
from serving.bundle import open_bundle
from serving.retrieval.eligibility import open_to
from training.config import read_training_config

HELD_MB = 60
HOLD = f"import time; held = b'x' * ({HELD_MB} << 20); time.sleep(1.5)"
PARENT_AND_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


def run(code: str, folder: Path, commit: str = "c0ffee") -> Measure:
    command = [sys.executable, "-c", code]
    environment = dict(os.environ)
    return run_measured(
        command, folder / "log.txt", folder / "m.json", cwd=folder, environment=environment, commit=commit
    )


def test_memory_is_that_of_children_too(tmp_path: Path) -> None:
    measure = run(PARENT_AND_CHILD, tmp_path)
    assert HELD_MB < measure.peak_mb < 3 * HELD_MB
    assert 1.5 <= measure.seconds < 30
    assert measure.done


def test_a_run_that_is_taken_up_again_adds_its_parts(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no weather"):
        run("import time; time.sleep(.6); raise SystemExit('no weather')", tmp_path, "first")
    broken = Measure.read(tmp_path / "m.json")
    assert (broken.done, broken.attempts) == (False, 1)
    whole = run("import time; time.sleep(.6)", tmp_path, "second")
    assert (whole.done, whole.attempts, whole.commits) == (True, 2, ("first", "second"))
    assert whole.seconds >= broken.seconds + 0.6


def test_two_runs_of_one_record_do_not_mix(tmp_path: Path) -> None:
    with alone(tmp_path / "m.lock"), pytest.raises(BenchmarkError, match="in use by another run"):
        run("pass", tmp_path)


def test_a_configuration_keeps_its_tables_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILORBIRD_DATA", "../data")
    dataset = DATASETS["ml-1m"]
    write_config(dataset, 7, {"towers": {"blocks": 3}}, tmp_path / "run" / "config.yaml")
    config, _ = read_training_config(tmp_path / "run" / "config.yaml")
    assert (config.seed, config.towers.blocks) == (7, 3)
    assert (
        config.dataset.events.path == str(dataset.train) == str(dataset.config.parents[1] / "data/ml-1m/train.parquet")
    )


def test_only_paths_are_made_absolute() -> None:
    content = {"events": {"path": "a.csv", "type": "b"}, "columns": [1, 2], "seed": 3}
    assert absolute(content, Path("/data")) == {
        "events": {"path": "/data/a.csv", "type": "b"},
        "columns": [1, 2],
        "seed": 3,
    }


def test_a_finished_training_is_found_again_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILORBIRD_DATA", str(tmp_path))
    place = tmp_path / "ml-1m" / "seed-0"
    write_config(DATASETS["ml-1m"], 0, {}, place / "trained.yaml")
    (place / "measure.json").write_text(
        '{"seconds": 9, "peak_mb": 1, "load": 1, "attempts": 1, "commits": ["c0ffee"], "done": true}', encoding="utf-8"
    )
    assert find_training(DATASETS["ml-1m"], 0, {}, tmp_path).measure.seconds == 9


def test_lists_of_single_systems_hold_nothing_that_is_blocked(trained: Any, tmp_path: Path) -> None:
    bundle = open_bundle(trained.bundle)
    people = People(bundle.schema.dataset, trained.tables)
    markov, seconds = fitted_counts(bundle, people)
    users = people.user_ids[:5]
    ranked = list(rankings(bundle, people, markov, users))
    write_lists(ranked, bundle.schema.items, tmp_path)
    assert set(seconds) == {"popularity", "markov", "transitions"}
    for system in ("two-towers", "transitions", "popularity", "markov"):
        frame = pd.read_parquet(tmp_path / f"{system}.parquet")
        assert frame["rank"].tolist() == list(range(1, 11)) * 5
        assert list(dict.fromkeys(frame["user_id"])) == list(users)
    moment = int(people.events.moments.max())
    for user, lists in ranked:
        eligible = open_to(bundle.schema, bundle.catalogue, people.person(user, moment), moment)
        assert all(eligible.has(rows).all() for rows in lists.values())


REFEREE = """
import json, sys
lists, holdout, option, train = sys.argv[1:5]
assert option == "--train"
print(json.dumps({"ndcg@10": 0.5, "recall@10": 0.25, "users": 4, "users_with_list": 3, "distinct_items": 2}))
sys.exit(1 if lists == "wrong.csv" else 0)
"""


def test_the_referee_is_the_script_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "score.py"
    monkeypatch.setenv("TAILORBIRD_REFEREE", str(script))
    with pytest.raises(BenchmarkError, match="no referee at"):
        score(Path("lists.csv"), Path("holdout.csv"), Path("train.csv"))
    script.write_text(REFEREE, encoding="utf-8")
    assert score(Path("lists.csv"), Path("holdout.csv"), Path("train.csv"))._asdict() == {
        "ndcg10": 0.5, "recall10": 0.25, "users": 4, "users_with_list": 3, "distinct_items": 2,
    }  # fmt: skip
    with pytest.raises(BenchmarkError, match=r"refuses wrong\.csv"):
        score(Path("wrong.csv"), Path("holdout.csv"), Path("train.csv"))

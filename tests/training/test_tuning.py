"""Tuning the whole way on a small world: towers, then ranker, a report, and a configuration that trains."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import tailorbird
from features.errors import ConfigError
from features.tables import load_tables
from training.config import TrainingConfig, read_training_config
from training.tuning.report import Tuned, write_tuning_report
from training.tuning.search import Clock
from training.tuning.search_space import Choice, Space
from training.tuning.tune import tune_on
from training.tuning.tuned_config import write_tuned

TOWERS: Space = (Choice("towers.dropout", (0.0, 0.1)), Choice("tower_fit.learning_rate", (0.02,)))
RANKER: Space = (Choice("ranker_fit.learning_rate", (0.001, 0.01)),)


class Trials(Clock):
    """A clock on which every trial takes a second, and nothing else takes time."""

    def __init__(self, path: Path, trials: float = 0.0) -> None:
        super().__init__(path)
        self._trials = trials

    @property
    def spent(self) -> float:
        return self._trials

    def save(self) -> None:
        self._trials += 1


def tuned_in(folder: Path, config: TrainingConfig, tables: Any, trials: float) -> Tuned:
    clock = Trials(folder / "seconds.txt")
    return tune_on(config, tables, folder, trials / 60, clock, tower_space=TOWERS, ranker_space=RANKER)


class World:
    """One tuning of two trials of the towers and two of the ranker, and its reports."""

    def __init__(self, trained: Any, folder: Path) -> None:
        for path in trained.config_path.parent.iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        self.path, self.run, self.output = folder / "config.yaml", folder / "run", folder / "tuned.yaml"
        self.run.mkdir()
        self.config, _ = read_training_config(self.path)
        self.tables = trained.tables
        self.tuned = tuned_in(self.run, self.config, self.tables, 3.5)
        write_tuned(self.path, self.output, self.tuned.changes)
        self.report = write_tuning_report(self.tuned, self.run, self.output)


@pytest.fixture(scope="module")
def world(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(trained, tmp_path_factory.mktemp("tuning"))


def test_towers_and_ranker_are_tuned(world: World) -> None:
    assert not isinstance(world.tuned.ranker, str), world.tuned.ranker
    for found in (world.tuned.towers, world.tuned.ranker):
        assert len(found.trials) >= 1
        assert found.best.figure is not None
        assert found.given.figure is not None
        assert found.best.figure >= found.given.figure
        assert len(found.gains[0]) == len(found.gains[1]) > 0
        assert 0 < np.concatenate(found.gains).mean() < 1


def test_the_towers_are_judged_by_the_figure_of_their_best_epoch(world: World) -> None:
    given = (world.run / "towers" / "0" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    column = given[0].split(",").index("ndcg")
    best = max(float(line.split(",")[column]) for line in given[1:])
    # not to the digit: items without a trained id get their place after the last epoch only
    assert world.tuned.towers.given.figure == pytest.approx(best, rel=0.1)


def test_the_written_configuration_is_what_was_found(world: World) -> None:
    config, folder = read_training_config(world.output)
    assert config == world.tuned.config
    assert len(load_tables(config.dataset, folder).events) == len(world.tables.events)
    changed = yaml.safe_load(world.output.read_text(encoding="utf-8"))
    assert all(changed[key.split(".")[0]][key.split(".")[1]] == value for key, value in world.tuned.changes.items())


def test_the_report_tells_every_trial(world: World) -> None:
    report = json.loads((world.run / "tuning.json").read_text(encoding="utf-8"))
    assert report == json.loads(json.dumps(world.report))
    towers = report["towers"]
    assert [one["number"] for one in towers["trials"]] == list(range(len(towers["trials"])))
    interval = towers["best_minus_given"]
    assert interval["low"] <= interval["mean"] <= interval["high"]
    assert interval["mean"] == pytest.approx(towers["best"] - towers["given"], abs=1e-6)
    page = (world.run / "tuning.md").read_text(encoding="utf-8")
    assert page.count("| judged |") == len(towers["trials"]) + len(report["ranker"]["trials"])


def test_given_again_it_goes_on(world: World, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(world.run, again, symlinks=True)
    clock = Trials(again / "seconds.txt", world.tuned.seconds)
    tuned = tune_on(world.config, world.tables, again, 3.5 / 60, clock, tower_space=TOWERS, ranker_space=RANKER)
    assert tuned.towers.trials == world.tuned.towers.trials
    assert tuned.config == world.tuned.config


def test_the_folder_of_another_tuning_is_refused(world: World) -> None:
    other = world.config.model_copy(update={"seed": 1})
    with pytest.raises(ConfigError, match="another config"):
        tuned_in(world.run, other, world.tables, 3.5)


def test_too_few_minutes_are_told_and_lose_nothing(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not enough for one epoch") as told:
        tune_on(world.config, world.tables, tmp_path, 1e-4, Clock(tmp_path / "seconds.txt"))
    assert told.value.field == "--minutes"


@pytest.mark.slow
def test_the_tuned_configuration_trains(world: World, tmp_path: Path) -> None:
    """By the names that user code imports, on a true clock."""
    output = tailorbird.tune(world.path, 0.5, tmp_path / "tuning", world.path.with_name("by-clock.yaml"))
    report = json.loads((tmp_path / "tuning" / "tuning.json").read_text(encoding="utf-8"))
    assert report["minutes_spent"] < 1.5
    assert report["towers"]["best"] >= report["towers"]["given"]
    assert (tailorbird.train(output, tmp_path / "run") / "manifest.json").exists()

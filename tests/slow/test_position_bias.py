"""Where people look at the first slots most, a ranker that is told the slot comes nearer to what they like."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.studies.position_bias import Fits, Log, Truth, log_of, ndcg, questions
from features.people import People
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.evaluation.metrics import paired_interval
from training.ranker.fit import RankerFitConfig
from training.simulator import SimulatorSettings, World
from training.simulator.exposing import ExposureSettings, by_popularity

pytestmark = pytest.mark.slow

SETTINGS = ExposureSettings(lists=2_500, slots=8, eta=1.5)


@pytest.fixture(scope="module")
def log(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, list[Truth]]:
    content = yaml.safe_load((Path(trained.config_path).parent / "simulation.json").read_text(encoding="utf-8"))
    content.pop("written_events")
    world, bundle = World.from_settings(SimulatorSettings.parse(content)), open_bundle(trained.bundle)
    asked = questions(bundle, world, People(trained.config.dataset, trained.tables), SETTINGS.days, limit=150)
    policy, folder = by_popularity(Pipeline(bundle)), tmp_path_factory.mktemp("biased") / "popular"
    return log_of(world, trained.config_path, trained.bundle, policy, SETTINGS, folder, limit=1_200), asked


def test_with_the_slot_as_an_input_a_ranker_comes_nearer_to_the_truth(
    trained: Any, log: tuple[Log, list[Truth]]
) -> None:
    biased, asked = log
    bundle = open_bundle(trained.bundle)
    fits = Fits(bundle, trained.config.ranker, RankerFitConfig.parse({"epochs": 4}), asked)
    ignoring, knowing = (
        np.mean([fits.fit(biased.examples, seed, position=position)[0] for seed in (0, 1)], axis=0)
        for position in (False, True)
    )
    found = paired_interval(knowing, ignoring, seed=0)
    assert found.low > 0


def test_the_truth_is_the_best_order_and_its_reverse_is_not() -> None:
    gains = np.array([0.1, 0.7, 0.4])
    assert ndcg(gains, gains) == 1.0
    assert ndcg(-gains, gains) < ndcg(np.zeros(3), gains) < 1.0

"""Reasons are the reasons: in the planted world, without the named events an item falls further than without others."""

from pathlib import Path

import pytest
import yaml

from benchmarks.person.faithfulness import measure
from features.people import People
from features.tables import load_tables
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.config import read_training_config
from training.run import train
from training.simulator import SimulatorSettings, simulate

pytestmark = pytest.mark.slow

SECTIONS = {
    "pipeline": {"max_events": 50},
    "towers": {"embedding_dim": 32, "blocks": 1},
    "tower_fit": {"max_epochs": 6, "learning_rate": 0.003},
    "ranker": {"hidden_dim": 32},
    "ranker_fit": {"max_examples": 3000, "epochs": 4},
    "evaluation": {"max_moments": 500},
}


def test_without_the_named_events_an_item_falls_further_than_without_others(tmp_path: Path) -> None:
    settings = SimulatorSettings.parse({"events": 30_000, "users": 600, "items": 300, "seed": 11})
    path = simulate(settings, tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(SECTIONS), encoding="utf-8")
    config, base = read_training_config(path)
    bundle = train(config, base, tmp_path / "run")
    found = measure(Pipeline(open_bundle(bundle)), People(config.dataset, load_tables(config.dataset, base)), 150)
    assert len(found.cases) > 120
    assert found.share >= 0.8

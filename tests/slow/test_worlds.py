"""The planted worlds: where there is order and taste the whole wins, and where there is none nobody does.

The null world is what catches leakage: a model that gains there has seen something that it should not.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from training.config import read_training_config
from training.run import train
from training.simulator import SimulatorSettings, simulate

pytestmark = pytest.mark.slow

SECTIONS = {
    "pipeline": {"max_events": 50},
    "towers": {"embedding_dim": 32, "blocks": 1},
    "tower_fit": {"max_epochs": 8, "learning_rate": 0.003},
    "ranker": {"hidden_dim": 32},
    "ranker_fit": {"max_examples": 4000, "epochs": 6},
    "evaluation": {"max_moments": 2000},
}


def report_of(world: Literal["orderly", "null"], folder: Path) -> dict[str, Any]:
    settings = SimulatorSettings.parse(
        {"events": 50_000, "users": 1_000, "items": 400, "seed": 11, "world": world, "end": "2026-06-01T12:00:00Z"}
    )
    path = simulate(settings, folder)
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(SECTIONS), encoding="utf-8")
    config, base = read_training_config(path)
    train(config, base, folder / "run")
    content: dict[str, Any] = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
    return content


def test_in_the_orderly_world_the_whole_beats_its_best_single_source(tmp_path: Path) -> None:
    report = report_of("orderly", tmp_path)
    assert report["whole_minus"][report["best_source"]]["low"] > 0
    assert report["whole_minus"]["popular"]["low"] > 0.05


def test_in_the_null_world_no_model_gains_on_popularity(tmp_path: Path) -> None:
    report = report_of("null", tmp_path)
    metric = f"ndcg@{report['k']}"
    better = max(("popular", "trending"), key=lambda name: report["systems"][name][metric])
    assert report["whole_minus"][better]["low"] <= 0
    assert report["towers_minus"][better]["low"] <= 0

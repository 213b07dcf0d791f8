"""The planted worlds: where there is order and taste the whole wins, and where there is none nobody does.

The null world is what catches leakage: a model that gains there has seen something that it should not. Reasons are
the reasons: in the orderly world, without the named events an item falls further than without others. All of it is
judged on the first fit, before the newest events are added.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import yaml

from benchmarks.person.faithfulness import measure
from features.events import Tables
from features.people import People
from features.tables import load_tables
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.config import TrainingConfig, read_training_config
from training.evaluation.groups import groups_of
from training.evaluation.report import Findings, make_report
from training.run import FirstFit, first_fit
from training.simulator import SimulatorSettings, simulate

pytestmark = pytest.mark.slow

SECTIONS = {
    "pipeline": {"max_events": 50},
    "towers": {"embedding_dim": 32, "blocks": 1},
    "tower_fit": {"max_epochs": 8, "learning_rate": 0.003},
    "ranker": {"hidden_dim": 32},
    "ranker_fit": {"max_examples": 4000, "epochs": 6},
    "evaluation": {"max_moments": 2000},
    "fairness": {"counterfactual_moments": 0},
    "workers": 1,
}


class Judged(NamedTuple):
    """A world, and what a first fit on it is worth."""

    config: TrainingConfig
    tables: Tables
    first: FirstFit
    report: dict[str, Any]


def judged(world: Literal["orderly", "null"], folder: Path) -> Judged:
    settings = SimulatorSettings.parse(
        {"events": 50_000, "users": 1_000, "items": 400, "seed": 11, "world": world, "end": "2026-06-01T12:00:00Z"}
    )
    path = simulate(settings, folder)
    path.write_text(path.read_text(encoding="utf-8") + yaml.safe_dump(SECTIONS), encoding="utf-8")
    config, base = read_training_config(path)
    tables = load_tables(config.dataset, base)
    first = first_fit(config, tables, folder / "run")
    findings = Findings(
        config=config,
        verdicts=first.verdicts,
        moments=first.moments,
        newcomers=first.run.newcomers,
        attributes=groups_of(config.dataset, first.moments),
        bundle=open_bundle(first.stage),
        reached=first.reached,
        epochs=first.epochs,
        slices={},
        shift={},
        seconds=0.0,
    )
    return Judged(config, tables, first, make_report(findings))


@pytest.fixture(scope="module")
def orderly(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged("orderly", tmp_path_factory.mktemp("orderly"))


def test_in_the_orderly_world_the_whole_beats_its_best_single_source(orderly: Judged) -> None:
    report = orderly.report
    assert report["whole_minus"][report["best_source"]]["low"] > 0
    assert report["whole_minus"]["popular"]["low"] > 0.05


def test_without_the_named_events_an_item_falls_further_than_without_others(orderly: Judged) -> None:
    people = People(orderly.config.dataset, orderly.tables)
    found = measure(Pipeline(open_bundle(orderly.first.stage)), people, 110)
    assert len(found.cases) > 88
    assert found.share >= 0.8


def test_in_the_null_world_no_model_gains_on_popularity(tmp_path: Path) -> None:
    report = judged("null", tmp_path).report
    metric = f"ndcg@{report['k']}"
    better = max(("popular", "trending"), key=lambda name: report["systems"][name][metric])
    assert report["whole_minus"][better]["low"] <= 0
    assert report["towers_minus"][better]["low"] <= 0

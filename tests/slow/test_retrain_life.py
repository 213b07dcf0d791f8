"""`tailorbird retrain` with real trainings: killed after every step, promoted, refused when spoiled, forced."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from features.errors import BundleError
from serving.lifecycle.decisions import decisions
from serving.lifecycle.registry import promote, read_pointer
from serving.manifest import verify_bundle
from training.retrain.attempts import attempts
from training.retrain.retrain import Exit, retrain
from training.simulator import SimulatorSettings, simulate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WORLD = {"events": 8_000, "users": 160, "items": 120, "seed": 5, "end": "2026-06-01T12:00:00Z"}
SMALL = {
    "workers": 1,
    "transition_seconds": 0,
    "pipeline": {"max_events": 20, "sources": {"nearest": 30, "transitions": 30, "popular": 10, "trending": 10}},
    "towers": {"embedding_dim": 16, "blocks": 1, "heads": 1},
    "tower_fit": {"max_epochs": 3, "learning_rate": 0.003},
    "ranker": {"hidden_dim": 16, "layers": 1},
    "ranker_fit": {"max_examples": 300, "epochs": 2},
    "evaluation": {"max_moments": 200},
    "fairness": {"counterfactual_moments": 0},
    "retrain": {"warm_epochs": 1, "keep": 1},
    "gate": {"least_moments": 50, "max_accuracy_loss": 0.3, "min_gain_over_plain": 0.0, "max_latency_ratio": 10},
}
STEPS = ("check", "train", "judge", "publish", "decide")
KILLED_AFTER = """
import os, signal, sys
from pathlib import Path
from training.retrain.attempts import Attempt
from training.retrain.retrain import retrain
if __name__ == "__main__":
    *places, step = sys.argv[1:]
    finish = Attempt.finish
    def finish_and_die(self, name, result):
        finish(self, name, result)
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)
    Attempt.finish = finish_and_die
    retrain(*map(Path, places))
"""
KILLED_IN_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
from training.config import read_training_config
from training.run import train
from training.towers.stopping import KeepBest
if __name__ == "__main__":
    config, run, stage = sys.argv[1:]
    def die(self, trainer, module, batch, index):
        if trainer.current_epoch == 1 and index == 2 and stage in str(self._log):
            os.kill(os.getpid(), signal.SIGKILL)
    KeepBest.on_train_batch_start = die
    train(*read_training_config(config), Path(run))
"""


def killed(script: str, *arguments: object) -> None:
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


class Shop:
    """A world whose log arrives in two files."""

    def __init__(self, folder: Path, settings: dict[str, Any], sections: dict[str, Any]) -> None:
        self.world, self.spoiled = folder / "world", folder / "spoiled"
        self.runs, self.registry = folder / "runs", folder / "registry"
        config = simulate(SimulatorSettings.parse(settings), self.world)
        simulate(SimulatorSettings.parse({**settings, "shuffled": 1.0}), self.spoiled)
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        content["dataset"]["events"]["path"] = "events-*.parquet"
        self.config = self.world / "shop.yaml"
        self.config.write_text(yaml.safe_dump({**content, **sections}), encoding="utf-8")

    def deliver(self, number: int, first: float, last: float, *, spoiled: bool = False) -> None:
        """Write the events of a part of the window, by time, as one file."""
        folder = self.spoiled if spoiled else self.world
        events = pd.read_parquet(folder / "events.parquet").sort_values("timestamp", kind="stable")
        part = events[int(first * len(events)) : int(last * len(events))]
        part.to_parquet(self.world / f"events-{number}.parquet")

    def retrain(self) -> Any:
        return retrain(self.config, self.runs, self.registry)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("shop"), WORLD, {**SMALL, "transition_seconds": 8})
    shop.deliver(1, 0.0, 0.8)
    return shop


def test_killed_after_each_step_it_goes_on_and_does_none_again(shop: Shop) -> None:
    finished: dict[str, tuple[int, str]] = {}
    for step in STEPS:
        killed(KILLED_AFTER, shop.config, shop.runs, shop.registry, step)
        (attempt,) = attempts(shop.runs)
        for name in STEPS[: STEPS.index(step) + 1]:
            path = attempt.folder / "done" / f"{name}.json"
            found = (path.stat().st_mtime_ns, path.read_text(encoding="utf-8"))
            assert finished.setdefault(name, found) == found
    outcome = shop.retrain()
    assert outcome.exit == Exit.NOTHING_NEW
    assert "run 1, promoted" in outcome.line
    live = read_pointer(shop.registry).live
    verify_bundle(live)
    assert live == (shop.runs / "0001" / "publishing" / "bundle").resolve()
    assert not (shop.runs / "0001" / "training" / "stages").exists() or shop.retrain().exit == Exit.NOTHING_NEW


def test_new_events_make_a_better_bundle_live_from_the_weights_of_the_last(shop: Shop) -> None:
    shop.deliver(2, 0.8, 1.0)
    (shop.world / "events-3.parquet").write_bytes((shop.world / "events-2.parquet").read_bytes()[:5000])
    outcome = shop.retrain()
    assert outcome.exit == Exit.PROMOTED, outcome.page and outcome.page.read_text(encoding="utf-8")
    (shop.world / "events-3.parquet").unlink()
    newest = attempts(shop.runs)[-1]
    assert newest.kind == "warm"
    told = json.loads((newest.folder / "gate.json").read_text(encoding="utf-8"))
    assert {one["rule"] for one in told["rulings"] if one["passed"]} >= {"accuracy", "beats_plain", "parity", "schema"}
    pointer = read_pointer(shop.registry)
    assert pointer.live == outcome.bundle
    assert pointer.previous is not None
    assert pointer.previous.exists(), "the bundle before live is kept for a rollback, whatever `keep` says"
    assert not (newest.folder / "publishing" / "checkpoints").exists()
    assert shop.retrain().exit == Exit.NOTHING_NEW


def test_a_spoiled_candidate_is_refused_with_its_reasons_and_can_be_forced(shop: Shop) -> None:
    live = read_pointer(shop.registry).live
    config = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    config["retrain"]["full_every"] = 1
    shop.config.write_text(yaml.safe_dump(config), encoding="utf-8")
    # The live bundle must not know the newest slice: it is one of the first part alone.
    promote(shop.runs / "0001" / "publishing" / "bundle", shop.registry)
    shop.deliver(1, 0.0, 0.8, spoiled=True)
    shop.deliver(2, 0.8, 1.0, spoiled=True)
    outcome = shop.retrain()
    assert outcome.exit == Exit.REFUSED
    assert "beats_plain" in outcome.line
    assert read_pointer(shop.registry).live != outcome.bundle
    told = decisions(shop.registry)[-1]
    assert told.action == "refused"
    assert any(one.startswith("beats_plain:") for one in told.why)
    with pytest.raises(BundleError, match="the gate refused"):
        promote(outcome.bundle, shop.registry)
    assert promote(outcome.bundle, shop.registry, force=True, why="a drill").live == outcome.bundle.resolve()
    assert live.exists()


def test_a_training_that_was_killed_within_an_epoch_ends_in_the_same_bundle(tmp_path: Path) -> None:
    """Bit for bit: every file but the index's timings."""
    config = simulate(SimulatorSettings.parse(WORLD), tmp_path)
    config.write_text(config.read_text(encoding="utf-8") + yaml.safe_dump(SMALL), encoding="utf-8")
    files = {}
    for name, stages in (("whole", ()), ("killed", ("first", "final"))):
        run = tmp_path / name
        for stage in stages:
            killed(KILLED_IN_AN_EPOCH, config, run, stage)
        done = [sys.executable, str(ROOT / "tailorbird.py"), "train", "--config", str(config), "--run", str(run)]
        subprocess.run(done, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        files[name] = verify_bundle(run / "bundle")["files"]
        files[name].pop("index.json")
    assert files["whole"] == files["killed"]


def test_on_a_world_of_the_size_of_the_demo_the_honest_passes_and_the_spoiled_does_not(tmp_path: Path) -> None:
    sections = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    shop = Shop(tmp_path, {"events": 60_000, "seed": 3, "end": "2026-06-01T12:00:00Z"}, sections)
    shop.deliver(1, 0.0, 0.9)
    assert shop.retrain().exit == Exit.PROMOTED
    shop.deliver(2, 0.9, 1.0)
    honest = shop.retrain()
    assert honest.exit == Exit.PROMOTED, honest.page.read_text(encoding="utf-8")
    promote(shop.runs / "0001" / "publishing" / "bundle", shop.registry)
    shop.deliver(1, 0.0, 0.9, spoiled=True)
    shop.deliver(2, 0.9, 1.0, spoiled=True)
    shutil.copy(shop.config, shop.world / "full.yaml")
    content = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    shop.config.write_text(yaml.safe_dump({**content, "retrain": {"full_every": 1}}), encoding="utf-8")
    refused = shop.retrain()
    assert refused.exit == Exit.REFUSED
    assert "beats_plain" in refused.line

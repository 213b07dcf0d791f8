"""`tailorbird retrain` with real trainings: killed after every step, promoted, refused when spoiled, forced."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from features.errors import BundleError
from serving.lifecycle.decisions import decisions
from serving.lifecycle.registry import promote, read_pointer
from serving.manifest import verify_bundle
from tests.slow.two_deliveries import Shop
from training.retrain.attempts import attempts
from training.retrain.retrain import Exit

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


def killed(script: str, *arguments: object) -> None:
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


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

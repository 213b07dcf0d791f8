"""The gate as it comes: on a world like the demo's the honest candidate passes, and the spoiled does not."""

from pathlib import Path

import pytest
import yaml

from serving.lifecycle.decisions import decisions
from serving.lifecycle.registry import promote
from tests.slow.two_deliveries import Shop
from training.retrain.retrain import Exit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


EVENTS = 30_000
SHORTER = {
    "transition_seconds": 5,
    "tower_fit": {"learning_rate": 0.003, "max_epochs": 5, "patience": 3},
    "ranker_fit": {"max_examples": 3000, "epochs": 3},
    "fairness": {"counterfactual_moments": 0},
    "workers": 1,
}
"""What makes a training of the demo's kind shorter; the gate stays as it comes."""
ABOUT_LISTS = {"beats_plain", "coverage", "list_collapse"}
"""Rules of which a model that has learned nothing breaks one: among 30,000 events it may draw with what is popular, but
then everybody gets the same list."""


def test_on_a_world_like_the_demos_the_honest_passes_and_the_spoiled_does_not(tmp_path: Path) -> None:
    sections = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    sections |= SHORTER
    shop = Shop(tmp_path, {"events": EVENTS, "seed": 3, "end": "2026-06-01T12:00:00Z"}, sections)
    shop.deliver(1, 0.0, 0.9)
    assert shop.retrain().exit == Exit.PROMOTED
    shop.deliver(2, 0.9, 1.0)
    honest = shop.retrain()
    assert honest.exit == Exit.PROMOTED, honest.page.read_text(encoding="utf-8")
    promote(shop.runs / "0001" / "publishing" / "bundle", shop.registry)
    shop.deliver(1, 0.0, 0.9, spoiled=True)
    shop.deliver(2, 0.9, 1.0, spoiled=True)
    content = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    shop.config.write_text(yaml.safe_dump({**content, "retrain": {"full_every": 1}}), encoding="utf-8")
    refused = shop.retrain()
    assert refused.exit == Exit.REFUSED
    reasons = {one.partition(":")[0] for one in decisions(shop.registry)[-1].why}
    assert reasons & ABOUT_LISTS, refused.line

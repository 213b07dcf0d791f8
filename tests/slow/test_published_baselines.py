"""Markov chain and transitions reach their published NDCG@10 on the frozen leave-one-out splits.

A baseline below its published figure is a bug, and no comparison against it counts. The figures are from
spotify-research/sequential-capacity-probes (RecSys 2026): full catalogue, taken items filtered, settings as
published. The data may not be redistributed: TAILORBIRD_DATA names the folder, default ../shared/data.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from features.arrays import IntArray
from features.vocabulary import RESERVED
from serving.retrieval.transitions import TransitionSettings
from training.evaluation.baselines import Scorer, markov_chain
from training.transitions.fit import fit_transitions

DATA = Path(os.environ.get("TAILORBIRD_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
PUBLISHED = {
    "ml-1m": TransitionSettings(
        window=20,
        distance_power=1.0,
        smoothing=150.0,
        head=7,
        head_mass=0.8,
        decay=0.6,
        popularity_weight=-0.4,
        max_history=200,
    ),
    "beauty": TransitionSettings(
        window=10,
        distance_power=0.5,
        smoothing=11250.0,
        head=50,
        head_mass=1.0,
        decay=0.6,
        popularity_weight=-0.04,
        max_history=50,
    ),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason=f"no data folder {DATA}; set TAILORBIRD_DATA"),
]


class Split(NamedTuple):
    rows: IntArray
    offsets: IntArray
    n_rows: int
    targets: IntArray
    """int64 [U] held-out item of each user; -1 where it or the user is unknown to train."""


def read(name: str) -> Split:
    train = pd.read_parquet(DATA / name / "train.parquet").sort_values(["user_id", "position"], kind="stable")
    users, items = pd.Index(train["user_id"].unique()), pd.Index(np.sort(train["item_id"].unique()))
    holdout = pd.read_csv(DATA / name / "holdout.csv").set_index("user_id")["item_id"].reindex(users)
    targets = items.get_indexer(holdout)
    return Split(
        rows=items.get_indexer(train["item_id"]).astype(np.int64) + RESERVED,
        offsets=np.append(0, np.cumsum(np.bincount(users.get_indexer(train["user_id"])))),
        n_rows=len(items) + RESERVED,
        targets=np.where(targets >= 0, targets + RESERVED, -1),
    )


def ndcg_at_10(scorer: Scorer, split: Split) -> float:
    """Mean over users with a target; items of equal score stand in the order of their rows."""
    gains = []
    for user in np.flatnonzero(split.targets >= 0):
        history, target = split.rows[split.offsets[user] : split.offsets[user + 1]], split.targets[user]
        scores = scorer.scores(history)
        of_target = scores[target] if target not in history else -np.inf
        scores[history] = -np.inf
        better = np.count_nonzero(scores > of_target) + np.count_nonzero(scores[:target] == of_target)
        gains.append(1 / np.log2(better + 2) if better < 10 else 0.0)
    return float(np.mean(gains))


@pytest.mark.parametrize(("name", "published"), [("ml-1m", 0.1240), ("beauty", 0.0492)])
def test_markov_chain_reaches_its_published_figure(name: str, published: float) -> None:
    split = read(name)
    found = ndcg_at_10(markov_chain(split.rows, split.offsets, split.n_rows), split)
    assert found == pytest.approx(published, rel=0.05)


@pytest.mark.parametrize(("name", "published"), [("ml-1m", 0.1815), ("beauty", 0.0635)])
def test_transitions_reach_their_published_figure(name: str, published: float) -> None:
    split = read(name)
    found = ndcg_at_10(fit_transitions(split.rows, split.offsets, split.n_rows, PUBLISHED[name]), split)
    assert found == pytest.approx(published, rel=0.02)

"""A bundle asked at the moments of the newest slice: its lists, what it foretold, how long it took. M moments."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from features.events import EventTable
from features.moments import DAY
from serving.answers import Query
from serving.bundle import Bundle, open_bundle
from serving.pipeline import Pipeline
from training.config import TrainingConfig
from training.evaluation.exposure import Shown
from training.evaluation.fairness import foretold
from training.evaluation.judging import WHOLE, judge, served
from training.evaluation.metrics import Doubles, Judged, gains
from training.moments import Moment

PLAIN = ("popular", "trending")
"""Sources that know nothing of the person."""
TIMED = 60
"""Answers whose time is taken."""


@dataclass(frozen=True)
class Asked:
    """What a bundle answered."""

    bundle: Bundle
    shown: Shown
    ndcg: Doubles
    """float64 [M]"""
    plain_ndcg: dict[str, Doubles]
    """The same of each plain source."""
    popularity: FloatArray
    """float32 [R] of the bundle's item rows."""
    observed: Doubles
    """float64 [M]: wanted events that came of a candidate."""
    expected: Doubles
    """float64 [M]: wanted events that were foretold."""
    new_places: Doubles
    """float64 [M]: share of the list's places that new items have."""
    size: int
    """Bytes."""


def ask(config: TrainingConfig, path: Path, moments: Sequence[Moment], events: EventTable) -> Asked:
    """Ask a bundle at every moment. Raises BundleError when it cannot be opened."""
    bundle, k = open_bundle(path), config.evaluation.k
    asked = judge(path, moments, None, workers=config.workers, label="judging")
    verdicts = served(asked, Pipeline(bundle), k)
    users = np.unique([one.user_id for one in moments], return_inverse=True)[1]
    targets = np.array([one.target for one in verdicts], dtype=np.int64)

    def ndcg(system: str) -> Doubles:
        return gains(Judged([one.lists[system] for one in verdicts], targets, users).ranks(), k)

    shown = Shown([one.lists[WHOLE][:k] for one in verdicts], targets, users)
    observed, expected = foretold(bundle, verdicts, moments)
    return Asked(
        bundle=bundle,
        shown=shown,
        ndcg=ndcg(WHOLE),
        plain_ndcg={name: ndcg(name) for name in PLAIN if name in verdicts[0].lists},
        popularity=np.asarray(bundle.statistics.popularity),
        observed=observed,
        expected=expected,
        new_places=_new_places(config, bundle, shown, moments, events),
        size=sum(one.stat().st_size for one in path.rglob("*") if one.is_file()),
    )


def _new_places(
    config: TrainingConfig, bundle: Bundle, shown: Shown, moments: Sequence[Moment], events: EventTable
) -> Doubles:
    """An item that nobody took yet is new, and one whose first event is not long ago."""
    first = np.full(len(bundle.schema.items), np.iinfo(np.int64).max)
    rows = bundle.schema.items.rows(events.items)[events.item_codes]
    np.minimum.at(first, rows, events.moments)
    young = int(config.gate.new_item_days * DAY)
    parts = zip(shown.lists, moments, strict=True)
    return np.array([float((first[one] > at.moment - young).mean()) if len(one) else 0.0 for one, at in parts])


def times_of(bundles: Sequence[Bundle], moments: Sequence[Moment], k: int) -> Doubles:
    """Milliseconds float64 [bundles, n] of the same answers, asked in turn, so that all meet the same machine."""
    pipelines = [Pipeline(one) for one in bundles]
    chosen = moments[:: max(1, len(moments) // TIMED)][:TIMED]
    taken = np.zeros((len(bundles), len(chosen)))
    for number, moment in enumerate([*chosen[:5], *chosen]):  # the first few only warm up
        for place, pipeline in enumerate(pipelines):
            begun = time.perf_counter()
            pipeline.recommend(moment.person, Query(k=k), moment.moment)
            taken[place, max(0, number - min(5, len(chosen)))] = (time.perf_counter() - begun) * 1000
    return taken


def member_of(labels: Sequence[str], name: str) -> BoolArray:
    """bool [M]: moments of one group."""
    return np.array([one == name for one in labels], dtype=bool)


def distinct(shown: Shown) -> IntArray:
    """Rows that stand in some list."""
    return np.unique(shown.flat()[0])

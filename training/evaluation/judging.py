"""Judging a bundle at moments that it has not seen: the whole, each source alone, and the plain baselines.

The whole and the sources come from the very pipeline that serves; the full catalogue is ranked, with no sampled
negatives. One request is one moment; every system sees the same history and the same blocked items.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from serving.bundle import Bundle
from serving.pipeline import Pipeline
from serving.ranking.untaken import with_untaken
from serving.retrieval.candidates import retrieve
from serving.retrieval.sources import SOURCES, active_sources, best
from serving.retrieval.transitions import Transitions
from serving.situation import situation
from training.evaluation.metrics import Judged
from training.moments import Moment
from training.ranker.examples import in_parallel

WHOLE = "tailorbird"
MARKOV = "markov"
TOWERS = "two-towers"
DEPTH = 100


class Verdict(NamedTuple):
    """What one moment showed."""

    lists: dict[str, IntArray]
    """Rows by system, at most DEPTH, best first."""
    target: int
    """Row of what was taken."""
    history: int
    """Events that the towers saw."""
    rows: IntArray
    """int64 [K]: all candidates."""
    logits: FloatArray
    """float32 [K, H] of all candidates."""
    place: int
    """Index of the target among the candidates; -1 when no source brought it."""


def judge(
    bundle_path: Path, moments: Sequence[Moment], markov: Transitions | None, *, workers: int, label: str
) -> list[Verdict]:
    """Every system's list at every moment; without `markov`, of the bundle's own systems alone."""
    return list(in_parallel(partial(_verdict, markov=markov), bundle_path, moments, workers, label))


def judged(verdicts: Sequence[Verdict], users: IntArray) -> Mapping[str, Judged]:
    """The lists of each system, ready for metrics."""
    targets = np.array([one.target for one in verdicts], dtype=np.int64)
    return {system: Judged([one.lists[system] for one in verdicts], targets, users) for system in verdicts[0].lists}


def labelled(
    verdicts: Sequence[Verdict], moments: Sequence[Moment], heads: Sequence[str]
) -> tuple[FloatArray, BoolArray]:
    """Logits float32 [M, H] of all candidates of all moments, and bool [M, H]: what came of them."""
    logits = np.concatenate([one.logits for one in verdicts])
    labels = np.zeros(logits.shape, dtype=bool)
    start = 0
    for verdict, moment in zip(verdicts, moments, strict=True):
        if verdict.place >= 0:
            labels[start + verdict.place] = [name in moment.types for name in heads]
        start += len(verdict.logits)
    return logits, labels


def served(verdicts: Sequence[Verdict], pipeline: Pipeline, k: int) -> list[Verdict]:
    """The verdicts with the lists of `k` that a pipeline serves, and what would follow in them.

    Its calibration may differ from the one that judged.
    """
    return [one._replace(lists={WHOLE: _ordered(one.rows, one.logits, pipeline, k), **one.lists}) for one in verdicts]


def _ordered(rows: IntArray, logits: FloatArray, pipeline: Pipeline, k: int) -> IntArray:
    bundle = pipeline.bundle
    best_first = np.argsort(-pipeline.expected(logits)[0], kind="stable")
    order = with_untaken(best_first, bundle.statistics.popularity[rows] == 0, k, bundle.settings.untaken_share)
    return rows[order[:DEPTH]]


def _verdict(bundle: Bundle, moment: Moment, markov: Transitions | None) -> Verdict:
    """Nobody turns to the item that they are looking at, so that no list spends a place on it."""
    here = situation(bundle, moment.person, moment.moment, exclude=moment.person.events.item_ids[-1:])
    sources = {
        TOWERS if source.name == "nearest" else source.name: source.retrieve(here, max(size, DEPTH))[:DEPTH]
        for source, size in active_sources(here)
    }
    target = bundle.schema.items.row(moment.item_id)
    if markov is not None:
        sources[MARKOV] = best(markov.scores(here.history.item_rows), DEPTH, here)
    candidates = retrieve(here)
    place = np.flatnonzero(candidates.rows == target)
    return Verdict(
        lists=sources,
        target=target,
        history=len(here.history.item_rows),
        rows=candidates.rows,
        logits=Pipeline(bundle).logits(here, candidates),
        place=int(place[0]) if len(place) else -1,
    )


SINGLE_SOURCES = tuple(TOWERS if source.name == "nearest" else source.name for source in SOURCES)

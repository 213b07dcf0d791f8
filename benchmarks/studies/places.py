"""Where each system puts what was taken, and what that is worth. R item rows, M moments.

A place counts from 1; 0 says that the system did not bring the item.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.studies.study import Row
from features.arrays import BoolArray, FloatArray, IntArray
from serving.pipeline import Pipeline
from serving.reasons import Listed
from serving.retrieval.bitmap import unpack
from serving.retrieval.candidates import Candidates
from serving.retrieval.scores import dots
from serving.situation import Situation
from training.evaluation.metrics import Doubles, gains, paired_interval, per_user
from training.moments import Moment


def place_in(rows: IntArray, target: int) -> int:
    """The place of a row in a ranked list int64 [n]."""
    found = np.flatnonzero(rows == target)
    return int(found[0]) + 1 if len(found) else 0


def place_by(scores: FloatArray, allowed: BoolArray, target: int, draw: np.random.Generator) -> int:
    """The place of a row when the allowed ones, bool [R], are ordered by scores float32 [R], ties at random."""
    if not allowed[target]:
        return 0
    others = scores[allowed]
    ties = int((others == scores[target]).sum()) - 1
    return 1 + int((others > scores[target]).sum()) + int(draw.integers(0, ties + 1))


def whole_place(here: Situation, candidates: Candidates, target: int, k: int) -> int:
    """The place that a row has among candidates in the whole pipeline's list of `k`, and in what would follow."""
    scored = Pipeline(here.bundle).score(here, candidates)
    return place_in(candidates.rows[Listed(here, None, candidates, *scored, k=k).order], target)


def tower_scores(here: Situation) -> FloatArray:
    """float32 [R]: the two towers alone; nothing is near an item without a vector."""
    catalogue = here.bundle.catalogue
    placed = unpack(catalogue.placed, len(catalogue))
    return np.where(placed, dots(np.asarray(catalogue.vectors), here.user_vector), -np.inf).astype(np.float32)


def only(rows: IntArray, count: int) -> BoolArray:
    """bool [count]: true in the given rows."""
    mask = np.zeros(count, dtype=np.bool_)
    mask[rows] = True
    return mask


def draw_for(moment: Moment, seed: int) -> np.random.Generator:
    """Random draws that belong to one moment, whatever process judges it."""
    return np.random.default_rng([seed, zlib.crc32(f"{moment.user_id} {moment.moment}".encode())])


def some(questions: Sequence[Any], limit: int, seed: int) -> list[Any]:
    """At most `limit` of them, drawn evenly, in their order."""
    if len(questions) <= limit:
        return list(questions)
    chosen = np.sort(np.random.default_rng(seed).choice(len(questions), limit, replace=False))
    return [questions[index] for index in chosen]


def user_codes(moments: Sequence[Moment]) -> IntArray:
    """int64 [M]: a number per user."""
    return np.unique([one.user_id for one in moments], return_inverse=True)[1].astype(np.int64)


def recalls(places: IntArray, k: int) -> Doubles:
    """float64 [M]: 1 where the item stands among the first k."""
    return ((places > 0) & (places <= k)).astype(np.float64)


def figures(places: Mapping[str, IntArray], users: IntArray, *, k: int, against: str, seed: int) -> list[Row]:
    """One row per system: Recall@k and NDCG@10 by user, and their intervals minus the system `against`."""
    recall = {name: per_user(recalls(one, k), users) for name, one in places.items()}
    ndcg = {name: per_user(gains(one, 10), users) for name, one in places.items()}
    bar = float(recall[against].mean())
    return [
        {
            "system": name,
            f"recall@{k}": float(recall[name].mean()),
            f"× {against}": float(recall[name].mean()) / bar if bar else None,
            f"recall@{k} minus {against}": None
            if name == against
            else paired_interval(recall[name], recall[against], seed),
            "ndcg@10": float(ndcg[name].mean()),
            f"ndcg@10 minus {against}": None if name == against else paired_interval(ndcg[name], ndcg[against], seed),
        }
        for name in places
    ]

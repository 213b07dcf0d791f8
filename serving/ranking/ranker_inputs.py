"""The ranker's input rows: what is known of a person, a moment and each candidate, as numbers.

Training makes its examples with this very file, so that a row is the same to the bit in training, in batch and
in the service. K candidates, F features, T history events newest first, D embedding_dim.
"""

from typing import NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.moments import DAY, day_of_week, hour_of_day
from features.schema import Schema
from features.vocabulary import RESERVED
from serving.retrieval.candidates import UNRANKED, Candidates
from serving.retrieval.scores import dots
from serving.retrieval.sources import SOURCES, Gathered, gathered
from serving.retrieval.statistics import UNSEEN
from serving.retrieval.transitions import KERNELS
from serving.situation import Situation

ATTENTION_EVENTS = 50
"""Newest events that the ranker's attention reads."""
AFFINITY_DECAY = 0.9
PERSONAL = ("nearest", "transitions", "again")
"""Sources that know the person's past."""
NEAREST = [source.name for source in SOURCES].index("nearest")
PER_SOURCE = 3
"""Columns that each source has: its score, its reciprocal rank, and whether it brought the item."""
FAR_DAYS = 3650.0


class RankerRows(NamedTuple):
    """Everything that the ranker graph takes, for one situation."""

    features: FloatArray
    """float32 [K, F]"""
    candidate_vectors: FloatArray
    """float32 [K, D]"""
    history_vectors: FloatArray
    """float32 [T, D], newest first, at most `ATTENTION_EVENTS`; one row of zeros for an empty history."""
    history_mask: FloatArray
    """float32 [T]: 1 for an event, 0 for padding."""


def ranker_rows(situation: Situation, candidates: Candidates) -> RankerRows:
    """Assemble the ranker's inputs for K candidates."""
    newest_first = situation.history_vectors[::-1][:ATTENTION_EVENTS]
    padded = newest_first if len(newest_first) else np.zeros((1, newest_first.shape[1]), dtype=np.float32)
    items = gathered(situation, candidates.rows)
    return RankerRows(
        features=_features(situation, candidates, items),
        candidate_vectors=items.vectors,
        history_vectors=np.ascontiguousarray(padded),
        history_mask=np.full(len(padded), float(len(newest_first) > 0), dtype=np.float32),
    )


def feature_names(schema: Schema) -> tuple[str, ...]:
    """Names of the F features, in the order of the columns."""
    return (
        *(f"{source.name}_{part}" for source in SOURCES for part in ("score", "rank", "brought")),
        *(f"transitions_{kernel}" for kernel in KERNELS),
        "cosine_last", "cosine_recent", "cosine_history",
        "log_popularity", "log_recent", "mean_value", "days_since_first_seen",
        "untaken", "untaken_nearest_score", "untaken_nearest_rank",
        "times_taken", "log_days_since_taken",
        *(f"last_type_{name}" for name in schema.types),
        *(f"affinity_{one.name}" for one in schema.item_fields),
        "log_history", "history_popularity", "history_value",
        *(("hour_sin", "hour_cos", "weekend") if schema.reads_clock else ()),
        *(("log_days_since_last",) if schema.reads_gaps else ()),
    )  # fmt: skip


def fusion_weights(schema: Schema) -> FloatArray:
    """float32 [F]: the blend with which a ranker begins, equal parts of the personal sources' reciprocal ranks.

    "Reciprocal rank fusion outperforms Condorcet" (Cormack, Clarke and Buettcher, SIGIR 2009).
    """
    names = {f"{source}_rank" for source in PERSONAL}
    return np.array([float(name in names) for name in feature_names(schema)], dtype=np.float32)


def _features(situation: Situation, candidates: Candidates, items: Gathered) -> FloatArray:
    sources = _sources(situation, candidates, items)
    columns = [
        *sources,
        *items.evidence.T,
        *_cosines(situation, items),
        *_items(situation, items),
        *_untaken(items, sources[PER_SOURCE * NEAREST : PER_SOURCE * (NEAREST + 1)]),
        *_taken(situation, items),
        *_affinities(situation, items.rows),
        *_person(situation, len(items.rows)),
    ]
    features = np.empty((len(columns), len(candidates.rows)), dtype=np.float32)
    for place, column in enumerate(columns):
        features[place] = column
    return np.ascontiguousarray(features.T)


def _sources(situation: Situation, candidates: Candidates, items: Gathered) -> list[FloatArray]:
    """Per source: its score, 1 / (10 + rank), and whether it brought the item."""
    columns: list[FloatArray] = []
    for index, source in enumerate(SOURCES):
        ranks = candidates.ranks[:, index]
        brought = ranks != UNRANKED
        columns += [source.scores(situation, items), brought / (10.0 + ranks), brought]
    return columns


def _cosines(situation: Situation, items: Gathered) -> list[FloatArray]:
    """Likeness to the last item, to the recent past (decayed), and to the whole history."""
    vectors, past = items.vectors, situation.history_vectors[::-1]
    if len(past) == 0:
        return [np.zeros(len(vectors), dtype=np.float32)] * 3
    weights = (0.8 ** np.arange(len(past))).astype(np.float32)
    recent = (past * weights[:, None]).sum(axis=0) / weights.sum()
    return [dots(vectors, past[0]), dots(vectors, recent), dots(vectors, past.mean(axis=0))]


def _items(situation: Situation, items: Gathered) -> list[FloatArray]:
    rows, first = items.rows, items.first_seen
    days = (situation.moment - first) / DAY if situation.bundle.schema.reads_gaps else np.zeros(len(rows))
    return [
        np.log1p(items.popularity),
        np.log1p(items.recent),
        situation.bundle.statistics.mean_value[rows],
        np.where(first == UNSEEN, 0.0, np.clip(days, 0.0, FAR_DAYS)).astype(np.float32),
    ]


def _untaken(items: Gathered, nearest: list[FloatArray]) -> list[FloatArray]:
    """Whether nobody took the item yet, and what the towers then say of it: of such an item only they know anything.

    Given apart, because among items with a past, no sign of one means that nobody wants them.
    """
    untaken = np.asarray(items.popularity == 0, dtype=np.float32)
    scores, ranks, _ = nearest
    return [untaken, untaken * scores, untaken * ranks]


def _taken(situation: Situation, items: Gathered) -> list[FloatArray]:
    """How often and how long ago the person took the item, and of which type the newest event was."""
    history, rows = situation.history, items.rows
    times = times_taken(history.item_rows, rows)
    place = items.newest_places
    known = place >= 0
    types = np.where(known, np.append(history.type_codes, 0)[place], 0)
    moments = np.where(known, np.append(history.moments, 0)[place], situation.moment)
    days = (situation.moment - moments) / DAY if situation.bundle.schema.reads_gaps else np.zeros(len(rows))
    codes = range(RESERVED, RESERVED + len(situation.bundle.schema.types))
    return [
        np.log1p(times),
        np.log1p(np.clip(days, 0.0, FAR_DAYS)),
        *((types == code).astype(np.float32) for code in codes),
    ]


def times_taken(history: IntArray, rows: IntArray) -> IntArray:
    """int64 [n]: how often each row stands in a history [T]."""
    ordered = np.sort(history)
    return np.searchsorted(ordered, rows, side="right") - np.searchsorted(ordered, rows, side="left")


def _affinities(situation: Situation, rows: IntArray) -> list[FloatArray]:
    """Per item attribute: the share of the recent past that has the candidate's values, newest weighted most."""
    codes = situation.bundle.catalogue.codes
    past, mine = codes[situation.history.item_rows[::-1]], codes[rows]
    weights = AFFINITY_DECAY ** np.arange(len(past))
    weights = weights / max(weights.sum(), 1e-9)
    columns: list[FloatArray] = []
    start = 0
    for size in situation.bundle.schema.item_sizes:
        part = slice(start, start + size.width)
        columns.append(_affinity(past[:, part], mine[:, part], weights, size.size))
        start += size.width
    return columns


def _affinity(past: np.ndarray, mine: np.ndarray, weights: np.ndarray, size: int) -> FloatArray:
    """float32 [K] mean over a candidate's values of the weight of the past that shares them."""
    mass = np.bincount(past.ravel(), weights=np.repeat(weights, past.shape[1]), minlength=size)
    mass[:RESERVED] = 0.0
    values = mine >= RESERVED
    return np.asarray((mass[mine] * values).sum(axis=1) / np.maximum(values.sum(axis=1), 1), dtype=np.float32)


def _person(situation: Situation, count: int) -> list[FloatArray]:
    """The same for every candidate: how much, how popular and how well-liked the past is; the clock."""
    history, statistics = situation.history, situation.bundle.statistics
    past = history.item_rows
    numbers = [
        np.log1p(len(past)),
        float(np.log1p(statistics.popularity[past]).mean()) if len(past) else 0.0,
        float(history.value_codes.mean()) if len(past) else 0.0,
    ]
    if situation.bundle.schema.reads_clock:
        numbers += _clock(situation.moment)
    if situation.bundle.schema.reads_gaps:
        numbers.append(_days_since_last(situation.moment, history.moments))
    return [np.full(count, number, dtype=np.float32) for number in numbers]


def _clock(moment: int) -> list[float]:
    """Hour and weekend; training asks one tick before an event, whose clock is meant."""
    at = np.array([moment + 1])
    angle = 2 * np.pi * float(hour_of_day(at)[0]) / 24
    return [np.sin(angle), np.cos(angle), float(day_of_week(at)[0] >= 5)]


def _days_since_last(moment: int, past: IntArray) -> float:
    """Log of the days since the last event."""
    days = (moment - int(past[-1])) / DAY if len(past) else FAR_DAYS
    return float(np.log1p(np.clip(days, 0.0, FAR_DAYS)))

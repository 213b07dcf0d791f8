"""Why an item was picked: the source that brought it, and the item of the person's past that speaks most for it."""

import numpy as np

from features.arrays import FloatArray, IntArray
from serving.answers import Reason
from serving.retrieval.scores import dots
from serving.situation import Situation

EXPLAINED_EVENTS = 50
"""Newest events among which the reason is sought."""


def reasons_for(situation: Situation, row: int, sources: tuple[str, ...]) -> tuple[Reason, ...]:
    """One reason per source that brought an item, the one that ranks it best first."""
    return tuple(_reason(situation, row, source) for source in sources)


def _reason(situation: Situation, row: int, source: str) -> Reason:
    past = situation.history.item_rows[::-1]
    past = past if source == "again" else past[:EXPLAINED_EVENTS]
    if len(past) == 0 or source not in ("nearest", "transitions", "again"):
        return Reason(code=source)
    weights = _weights(situation, row, source, past)
    strongest = int(np.argmax(weights))
    if weights[strongest] <= 0:
        return Reason(code=source)
    cause = int(past[strongest])
    return Reason(
        code=source,
        item_id=situation.bundle.schema.items.id_of(cause),
        title=situation.bundle.catalogue.title(cause),
        weight=float(weights[strongest]),
    )


def _weights(situation: Situation, row: int, source: str, past: IntArray) -> FloatArray:
    """How much each event of the past (newest first) speaks for an item, in the source's measure."""
    if source == "nearest":
        vectors = situation.bundle.catalogue.vectors
        return dots(vectors[past], vectors[np.array([row])][0])
    if source == "again":
        same: FloatArray = (past == row).astype(np.float32)
        return same
    transitions = situation.bundle.transitions
    kernel = transitions.settings.kernel(len(past))
    return np.asarray(transitions.between(past, row) * kernel, dtype=np.float32)

"""The reasons of the items of an answer."""

from features.arrays import FloatArray, IntArray
from serving.answers import Reason
from serving.reasons.naming import named
from serving.reasons.occlusion import Score
from serving.reasons.weighing import weigh
from serving.retrieval.candidates import Candidates
from serving.situation import Situation


def reasons_for(
    here: Situation, candidates: Candidates, explained: IntArray, scores: FloatArray, score: Score
) -> list[tuple[Reason, ...]]:
    """Reasons for each of the candidates at `explained`, int64 [N], given the scores float64 [K] of all."""
    if len(explained) == 0:
        return []
    return named(here, candidates, explained, weigh(here, candidates, explained, scores, score))

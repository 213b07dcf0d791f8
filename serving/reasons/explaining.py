"""The reasons of the items of an answer."""

from features.arrays import IntArray
from serving.answers import Reason
from serving.reasons.declared import ScoreRows, of_interests
from serving.reasons.listed import Listed
from serving.reasons.naming import named
from serving.reasons.occlusion import Score
from serving.reasons.weighing import weigh


def reasons_for(made: Listed, explained: IntArray, score_rows: ScoreRows, score: Score) -> list[tuple[Reason, ...]]:
    """Reasons for each of the candidates at `explained`, int64 [N], by what `score_rows` and `score` made of them."""
    if len(explained) == 0:
        return []
    weighed = weigh(made.here, made.candidates, explained, made.scores, score)
    return named(made.here, made.candidates, explained, weighed, of_interests(made, explained, score_rows))

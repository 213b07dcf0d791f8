"""An order without the ranker: the blend of the sources' reciprocal ranks with which a ranker begins its training.

K candidates, S sources.
"""

import numpy as np

from features.arrays import FloatArray
from serving.ranking.ranker_inputs import PERSONAL
from serving.retrieval.candidates import UNRANKED, Candidates
from serving.retrieval.sources import SOURCES

IMPERSONAL_WEIGHT = 1e-3
"""So little that the last place of the longest list that a personal source may bring (1 / 2010) beats the first places
of all other sources together."""
_WEIGHTS = np.array([1.0 if source.name in PERSONAL else IMPERSONAL_WEIGHT for source in SOURCES])  # [S]


def blend(candidates: Candidates) -> FloatArray:
    """float64 [K], as `ranker_inputs.fusion_weights` has it for the sources that know the person's past.

    The others order what none of those brought, which for a stranger is nearly all.
    """
    brought = candidates.ranks != UNRANKED
    shares: FloatArray = np.where(brought, 1.0 / (10.0 + candidates.ranks), 0.0) @ _WEIGHTS
    return shares

"""One answer's candidates in their order, and what they were made of: what reasons are given of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays import BoolArray, IntArray
from serving.ranking.untaken import with_untaken
from serving.retrieval.bitmap import Bitmap
from serving.retrieval.candidates import Candidates
from serving.retrieval.preferred import PINNED, with_pinned
from serving.situation import Situation


@dataclass(frozen=True)
class Listed:
    """All candidates of one answer with their scores, and what they were made of."""

    here: Situation
    passing: Bitmap | None
    """Rows that pass the filter; None without one."""
    candidates: Candidates
    scores: np.ndarray
    """float64 [K]"""
    probabilities: np.ndarray | None
    """float64 [K, H]; None without the ranker."""
    pinned: Sequence[BoolArray] = ()
    """bool [K] for each pinned interest: its candidates."""
    k: int = 0
    """Places in which untaken items and pinned interests have their share."""

    @cached_property
    def order(self) -> IntArray:
        """int64 [K]: places of the candidates, best first but for places that are held for untaken or pinned ones."""
        bundle = self.here.bundle
        untaken = bundle.statistics.popularity[self.candidates.rows] == 0
        best_first = np.argsort(-self.scores, kind="stable")
        shared = with_untaken(best_first, untaken, self.k, bundle.settings.untaken_share)
        return with_pinned(shared, self.pinned, self.k)

    @cached_property
    def places(self) -> IntArray:
        """int64 [K]: of each candidate its place in the order, from 0."""
        places = np.empty(len(self.order), dtype=np.int64)
        places[self.order] = np.arange(len(self.order))
        return places

    def sources_of(self, index: int) -> tuple[str, ...]:
        """Names of the sources that brought a candidate; `pinned` first when it is of a pinned interest."""
        found = self.candidates.sources_of(index)
        return (PINNED, *found) if any(mask[index] for mask in self.pinned) else found

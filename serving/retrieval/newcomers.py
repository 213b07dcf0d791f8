"""The items that appeared last, with their vectors side by side.

Who asks does not change them, and their rows lie all over the table: gathered for each request they cost a millisecond
at a million items, more than the search among all others.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays import FloatArray, IntArray
from serving.catalogue import Catalogue
from serving.retrieval.bitmap import contains
from serving.retrieval.statistics import Statistics

MOST_NEW = 10_000
"""Newest items among which those nearest to a person are looked for."""


@dataclass(frozen=True)
class Newcomers:
    """At most `MOST_NEW` items that were first seen at or after a moment and have a vector."""

    since: float
    """That moment."""
    rows: IntArray
    """int64 [n], ascending."""
    vectors: FloatArray
    """float32 [n, D]"""

    @classmethod
    def since_moment(cls, statistics: Statistics, catalogue: Catalogue, since: float) -> Self:
        """Those of some tables."""
        rows = np.sort(statistics.seen_since(since, MOST_NEW))
        rows = rows[contains(catalogue.placed, rows)]
        return cls(since, rows, np.ascontiguousarray(catalogue.vectors[rows]))

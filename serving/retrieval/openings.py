"""Which rows of the item table may be shown to anybody at a moment.

Between two moments at which some item opens or closes the answer is one and the same, and is kept.
"""

from typing import Protocol

import numpy as np

from features.arrays import IntArray, let_go
from features.vocabulary import RESERVED
from serving.retrieval.bitmap import Bitmap, pack

ALWAYS = np.iinfo(np.int64)
KEPT = 8
"""Answers that are kept: that for the present, and a few that requests for another time ask for."""


class Openings(Protocol):
    """Answers for one state of the catalogue."""

    def at(self, moment: int) -> Bitmap:
        """The rows that are open at a moment; not to be written to."""
        ...


class SavedOpenings:
    """Openings of the items of a bundle; safe to ask from several threads."""

    def __init__(self, available_from: IntArray, available_to: IntArray) -> None:
        """First and last moment of each row, int64 [R]; mapped files are in memory only while they are read."""
        self._from, self._to = available_from, available_to
        begins, ends = available_from[available_from > ALWAYS.min], available_to[available_to < ALWAYS.max]
        self._edges = np.unique(np.concatenate([begins, ends + 1]))
        self._kept: dict[int, Bitmap] = {}
        self._let_go()

    def at(self, moment: int) -> Bitmap:
        """The rows that are open at a moment."""
        between = int(np.searchsorted(self._edges, moment, side="right"))
        found = self._kept.get(between)
        if found is None:
            found = self._compute(moment)
            kept = list(self._kept.items())[-(KEPT - 1) :]
            self._kept = dict([*kept, (between, found)])
        return found

    def _compute(self, moment: int) -> Bitmap:
        is_open = (self._from <= moment) & (self._to >= moment)
        self._let_go()
        is_open[:RESERVED] = False
        bitmap = pack(is_open)
        bitmap.setflags(write=False)
        return bitmap

    def _let_go(self) -> None:
        for edge in (self._from, self._to):
            let_go(edge)

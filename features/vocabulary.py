"""The one crossing between outside ids (strings) and inside rows (integers).

Row 0 is PAD and row 1 is UNKNOWN; known ids start at row 2. A vocabulary only grows and its rows never move.
"""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from features.arrays import IntArray

PAD = 0
UNKNOWN = 1
RESERVED = 2


class Vocabulary:
    """An append-only mapping from strings to rows."""

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self._ids = list(ids)
        self._rows = {outside: row for row, outside in enumerate(self._ids, start=RESERVED)}
        if len(self._rows) != len(self._ids):
            raise ValueError("a vocabulary cannot hold an id twice")

    def __len__(self) -> int:
        """Number of rows, the two reserved ones included."""
        return len(self._ids) + RESERVED

    def __contains__(self, outside: object) -> bool:
        return outside in self._rows

    @property
    def ids(self) -> Sequence[str]:
        """Known ids in row order, from row 2."""
        return self._ids

    def row(self, outside: str) -> int:
        """The row of an id; UNKNOWN when it was never seen."""
        return self._rows.get(outside, UNKNOWN)

    def rows(self, outside: Iterable[str]) -> IntArray:
        """Rows of many ids, int64 [n]; UNKNOWN for those never seen."""
        find = self._rows.get
        return np.fromiter((find(one, UNKNOWN) for one in outside), dtype=np.int64)

    def id_of(self, row: int) -> str:
        """The id of a row. Raises IndexError for a reserved or absent row."""
        if not RESERVED <= row < len(self):
            raise IndexError(f"row {row} holds no id; rows run from {RESERVED} to {len(self) - 1}")
        return self._ids[row - RESERVED]

    def extended(self, ids: Iterable[str]) -> Self:
        """A vocabulary with unseen ids appended in the order given; known rows stay where they are."""
        fresh = dict.fromkeys(one for one in ids if one not in self._rows)
        return type(self)([*self._ids, *fresh])

"""How often one item came some events after another, counted by sorting.

A block of source items at a time, so that memory is bounded by the pairs of a block, not by the events.

Letters: R rows of the item table, N events, U users, M (source, target, distance) entries,
C (source, target) cells.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from features.arrays import IntArray
from features.errors import DataError
from features.vocabulary import RESERVED

PAIRS_PER_BLOCK = 10_000_000
"""Pairs counted at a time, in about 400 MB."""

Doubles: TypeAlias = npt.NDArray[np.float64]


class Sequences(NamedTuple):
    """Known items only, by user and in order: an unknown item is passed over as if it had not been there."""

    rows: IntArray
    """int64 [N] item rows."""
    offsets: IntArray
    """int64 [U + 1] where each user's events begin."""

    @classmethod
    def of(cls, item_rows: IntArray, offsets: IntArray, n_rows: int) -> Self:
        """Check and filter events. Raises `DataError` when offsets or rows cannot belong to these events."""
        if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(item_rows) or (np.diff(offsets) < 0).any():
            raise DataError(f"offsets must rise from 0 to the number of events, {len(item_rows)}")
        if len(item_rows) and not 0 <= item_rows.min() <= item_rows.max() < n_rows:
            raise DataError(
                f"item rows run from {item_rows.min()} to {item_rows.max()}, but the table has {n_rows} rows",
                hint="Were the events encoded with another vocabulary?",
            )
        known = item_rows >= RESERVED
        kept = np.concatenate([[0], np.cumsum(known)])
        return cls(item_rows[known], kept[offsets])

    def of_users(self, users: IntArray) -> Self:
        """The sequences of some users, in the order given."""
        lengths = np.diff(self.offsets)[users]
        offsets = np.append(0, np.cumsum(lengths))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[users] - offsets[:-1], lengths)
        return type(self)(self.rows[places], offsets)

    def history(self, user: int) -> IntArray:
        """int64 [T] item rows of one user, oldest first."""
        return self.rows[self.offsets[user] : self.offsets[user + 1]]

    def remaining(self) -> IntArray:
        """int64 [N] events of the same user that come after each event."""
        return np.repeat(self.offsets[1:], np.diff(self.offsets)) - 1 - np.arange(len(self.rows))

    def frequency(self, n_rows: int) -> IntArray:
        """int64 [R] events of each item."""
        return np.bincount(self.rows, minlength=n_rows)


class PairCounts(NamedTuple):
    """How often one item came some events after another; entries sorted by source, target and distance."""

    cells: IntArray
    """int64 [C] source * R + target, ascending."""
    starts: IntArray
    """int64 [C] first entry of each cell."""
    distances: npt.NDArray[np.uint8]
    """uint8 [M] distance in events, less one."""
    counts: npt.NDArray[np.int32]
    """int32 [M] pairs."""

    @classmethod
    def of(cls, keys: IntArray, window: int) -> Self:
        """Count equal keys (cell * window + distance less one), int64 [pairs]; sorts them in place."""
        keys.sort()
        entries = first_of_each(keys)
        counts = np.diff(entries, append=len(keys)).astype(np.int32)
        cells, distances = np.divmod(keys[entries], window)
        starts = first_of_each(cells)
        return cls(cells[starts], starts, distances.astype(np.uint8), counts)

    def weighted(self, weights: Doubles) -> Doubles:
        """float64 [C] counts summed over distances with `weights` [window]."""
        if not len(self.starts):
            return np.zeros(0)
        return np.add.reduceat(weights[self.distances] * self.counts, self.starts)


def count_pairs(
    sequences: Sequences, n_rows: int, window: int, pairs_per_block: int = PAIRS_PER_BLOCK
) -> Iterator[PairCounts]:
    """Counts of all pairs up to `window` events apart, by ascending source, each source in one block."""
    rows, remaining = sequences.rows, sequences.remaining()
    by_source = np.argsort(rows, kind="stable")
    pairs_until = np.cumsum(np.bincount(rows, np.minimum(remaining, window), minlength=n_rows))
    block_of = (pairs_until // pairs_per_block).astype(np.int64)  # [R], ascending
    events_until = np.cumsum(sequences.frequency(n_rows))
    ends = events_until[np.append(np.flatnonzero(np.diff(block_of)), n_rows - 1)]
    for block in np.split(by_source, ends[:-1]):
        keys = []
        for distance in range(1, window + 1):
            source = block[remaining[block] >= distance]
            keys.append((rows[source] * n_rows + rows[source + distance]) * window + distance - 1)
        yield PairCounts.of(np.concatenate(keys), window)


def first_of_each(ascending: IntArray) -> IntArray:
    """Places where a new value begins."""
    return np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1))

"""Bitmaps of rows against the sets that they stand for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.retrieval import bitmap

N_ROWS = 77
ROWS = st.sets(st.integers(0, N_ROWS - 1))


def packed(rows: set[int]) -> bitmap.Bitmap:
    mask = np.zeros(N_ROWS, dtype=bool)
    mask[list(rows)] = True
    return bitmap.pack(mask)


@given(ROWS, ROWS)
def test_a_bitmap_is_the_set_of_its_rows(rows: set[int], removed: set[int]) -> None:
    bits, gone = packed(rows), np.array(sorted(removed), dtype=np.int64)
    assert bitmap.members(bits).tolist() == sorted(rows)
    assert bitmap.size(bits) == len(rows)
    assert set(np.flatnonzero(bitmap.unpack(bits, N_ROWS)).tolist()) == rows
    assert bitmap.contains(bits, np.arange(N_ROWS)).tolist() == [row in rows for row in range(N_ROWS)]
    assert bitmap.members(bitmap.without(bits, gone)).tolist() == sorted(rows - removed)
    assert bitmap.members(bits).tolist() == sorted(rows)

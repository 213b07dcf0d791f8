"""The attributes of all items with changed and added rows put into them, for files that hold both.

R rows before, n changed rows. Texts that no row holds any more stay in a column's list; the next training drops them.
"""

from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from features.arrays import IntArray
from features.texts import ABSENT, SortedTexts
from serving.filters.attribute_columns import NO_MOMENT, Categories, Column, Moments, MultiCategories, Numbers
from serving.filters.attributes import Attributes

Codes = npt.NDArray[np.int32]


def merged_attributes(base: Attributes, changed: Attributes, rows: IntArray, n_rows: int) -> Attributes:
    """`n_rows` rows: those of `base`, but for `rows` int64 [n], which hold what `changed` holds in its rows 0 to n - 1.

    Rows that are in neither hold nothing.
    """
    columns = {name: _merged(column, changed.columns[name], rows, n_rows) for name, column in base.columns.items()}
    return Attributes(columns, n_rows)


def _merged(base: Column, changed: Column, rows: IntArray, n_rows: int) -> Column:
    match base, changed:
        case Numbers(), Numbers():
            return Numbers(_put(base.values, changed.values, rows, n_rows, np.nan))
        case Moments(), Moments():
            return Moments(_put(base.values, changed.values, rows, n_rows, NO_MOMENT))
        case Categories(), Categories():
            texts, of_base, of_changed = _one_list(base.texts, changed.texts)
            codes = _put(of_base[base.codes], of_changed[changed.codes], rows, n_rows, ABSENT)
            return Categories(codes, texts)
        case MultiCategories(), MultiCategories():
            return _merged_lists(base, changed, rows, n_rows)
    raise TypeError(f"{type(base).__name__} and {type(changed).__name__} are columns of two kinds")


def _put(base: npt.NDArray[Any], changed: npt.NDArray[Any], rows: IntArray, n_rows: int, nothing: float) -> Any:
    """[n_rows] of the base's dtype."""
    values = np.full(n_rows, nothing, dtype=base.dtype)
    values[: len(base)] = base
    values[rows] = changed
    return values


def _merged_lists(base: MultiCategories, changed: MultiCategories, rows: IntArray, n_rows: int) -> MultiCategories:
    texts, of_base, of_changed = _one_list(base.texts, changed.texts)
    owners = np.repeat(np.arange(len(base.offsets) - 1), np.diff(base.offsets))  # int64 [N]: the row of each value
    stays = ~np.isin(owners, rows)
    every_owner = np.concatenate([owners[stays], np.repeat(rows, np.diff(changed.offsets))])
    codes = np.concatenate([of_base[base.codes[stays]], of_changed[changed.codes]])
    counts = np.bincount(every_owner, minlength=n_rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return MultiCategories(offsets, codes[np.argsort(every_owner, kind="stable")], texts)


def _one_list(base: SortedTexts, changed: SortedTexts) -> tuple[SortedTexts, Codes, Codes]:
    """The texts of both, and for each of the two int32 [its texts + 1] its codes in them; the last is for ABSENT."""
    texts, codes_of = SortedTexts.with_codes(chain(base, changed))
    both = (np.array([*(codes_of[text] for text in each), ABSENT], dtype=np.int32) for each in (base, changed))
    of_base, of_changed = both
    return texts, of_base, of_changed

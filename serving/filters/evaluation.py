"""From a folded expression to the bitmap of one item table: cached parts joined bit by bit.

R rows of the table. Every part that does not read what the person took is cached under its text, whole
expressions as well as single conditions, so that different filters share them.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.person import Taken
from features.vocabulary import RESERVED
from serving.attributes import Attributes
from serving.bitmap import Bitmap, contains, pack
from serving.filters import leaves
from serving.filters.cache import FilterCache, Held
from serving.filters.expressions import And, Available, Comparison, Expression, Membership, Missing, Not, Or, Seen
from serving.filters.operands import ItemAttribute, Now, Time


@dataclass(frozen=True, eq=False)
class ItemTable:
    """What filters read of items: all of a bundle, or those that changed since."""

    number: Hashable
    """Names this content: equal numbers must mean equal tables, whatever process or thread asks."""
    attributes: Attributes
    available_from: IntArray
    """int64 [R]"""
    available_to: IntArray
    """int64 [R]"""
    rows: IntArray | None = None
    """int64 [R], distinct: the item row of each record; None where record r is item row r."""

    def __len__(self) -> int:
        return len(self.attributes)

    @cached_property
    def everything(self) -> Bitmap:
        """All records but the reserved rows."""
        mask = np.ones(len(self), dtype=bool)
        if self.rows is None:
            mask[:RESERVED] = False
        return _frozen(pack(mask))

    def positions(self, rows: IntArray) -> IntArray:
        """int64: the records of those of the item rows that the table has."""
        if self.rows is None:
            return rows[(rows >= RESERVED) & (rows < len(self))]
        return np.flatnonzero(np.isin(self.rows, rows))


class Past(NamedTuple):
    """What a person took, crossed to item rows; K pairs of item and type."""

    taken: Taken = Taken()
    rows: IntArray = Taken().moments
    """int64 [K]: the row of each item of `taken`."""


class Evaluation:
    """One table at one moment for one person."""

    def __init__(self, table: ItemTable, cache: FilterCache, moment: int, past: Past) -> None:
        self._table = table
        self._cache = cache
        self._moment = moment
        self._past = past

    def held(self, expression: Expression) -> Held:
        """The rows of which a folded expression is true, from the cache if it may be there."""
        if expression.reads_taken:
            return self._fresh(expression)
        held = self._cache.find(self._table.number, expression.text, self._moment)
        if held is None:
            bitmap, span = self._fresh(expression)
            held = Held(_frozen(bitmap), span)
            self._cache.keep(self._table.number, expression.text, held)
        return held

    def _fresh(self, expression: Expression) -> Held:
        match expression:
            case And(members):
                return reduce(_both, map(self.held, members))
            case Or(members):
                return reduce(_either, map(self.held, members))
            case Not(part):
                bitmap, span = self.held(part)
                return Held(self._table.everything & ~bitmap, span)
            case Seen():
                return Held(self._seen(expression))
        mask, span = self._mask(expression)
        return Held(pack(mask) & self._table.everything, span)

    def _mask(self, expression: Expression) -> tuple[BoolArray, leaves.Span]:
        """bool [R] of a condition on the item alone; what it says of the reserved rows means nothing."""
        table, columns = self._table, self._table.attributes.columns
        match expression:
            case Comparison(ItemAttribute(name)):
                return leaves.comparison(columns[name], expression, self._moment)
            case Membership(ItemAttribute(name)):
                return leaves.membership(columns[name], expression), leaves.ALWAYS
            case Missing(ItemAttribute(name)):
                return ~leaves.known(columns[name]), leaves.ALWAYS
            case Available(Now(shift)):
                bounds, moment = (table.available_from, table.available_to), self._moment + shift
                return leaves.open_at(*bounds, moment), leaves.open_span(*bounds, moment).moved(-shift)
            case Available(Time(moment)):
                return leaves.open_at(table.available_from, table.available_to, moment), leaves.ALWAYS
        raise TypeError(f"{expression} was not folded")

    def _seen(self, asked: Seen) -> Bitmap:
        taken = self._past.taken
        chosen = taken.moments <= self._moment
        if asked.type is not None:
            chosen &= np.fromiter((kind == asked.type for kind in taken.types), dtype=bool, count=len(chosen))
        if asked.within is not None:
            chosen &= self._moment - taken.moments < asked.within
        return _of_rows(self._table.positions(self._past.rows[chosen]), len(self._table))


def overlaid(main: Bitmap, changed: Bitmap, rows: IntArray, n_rows: int) -> Bitmap:
    """The bitmap of `n_rows` items of which those in `rows` int64 [C] are as record c of `changed` says."""
    bitmap = np.zeros((n_rows + 7) // 8, dtype=np.uint8)
    bitmap[: len(main)] = main
    bits = np.uint8(1) << (rows & 7).astype(np.uint8)
    np.bitwise_and.at(bitmap, rows >> 3, ~bits)
    passing = contains(changed, np.arange(len(rows)))
    np.bitwise_or.at(bitmap, rows[passing] >> 3, bits[passing])
    return bitmap


def _of_rows(rows: IntArray, n_rows: int) -> Bitmap:
    bitmap = np.zeros((n_rows + 7) // 8, dtype=np.uint8)
    np.bitwise_or.at(bitmap, rows >> 3, np.uint8(1) << (rows & 7).astype(np.uint8))
    return bitmap


def _both(left: Held, right: Held) -> Held:
    return Held(left.bitmap & right.bitmap, left.span.overlap(right.span))


def _either(left: Held, right: Held) -> Held:
    return Held(left.bitmap | right.bitmap, left.span.overlap(right.span))


def _frozen(bitmap: Bitmap) -> Bitmap:
    bitmap.flags.writeable = False
    return bitmap

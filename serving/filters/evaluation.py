"""From a folded expression to a bitmap of item rows: cached parts joined bit by bit.

R rows of a table. Items that changed are a small table of their own, so that a change costs a bundle's bitmaps a
copy and not another pass over a million rows. Every part that does not read what the person took is cached under
its text, whole expressions as well as single conditions, so that different filters share them.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.person import Taken
from features.vocabulary import RESERVED
from serving.filters import leaves
from serving.filters.attributes import Attributes
from serving.filters.cache import FilterCache, Held
from serving.filters.expressions import And, Available, Comparison, Expression, Membership, Missing, Not, Seen
from serving.filters.operands import ItemAttribute, Now, Time
from serving.retrieval.bitmap import Bitmap, contains, pack

EVERYTHING = "*"
"""The key of all items; no expression is written so."""
_BOTH = object()
"""Makes the key of two tables unlike that of any one."""


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
        bitmap = pack(mask)
        bitmap.flags.writeable = False
        return bitmap


class Past(NamedTuple):
    """What a person took, crossed to item rows; K pairs of item and type."""

    taken: Taken = Taken()
    rows: IntArray = Taken().moments
    """int64 [K]: the row of each item of `taken`."""


NOTHING_TAKEN = Past()


class Evaluation:
    """The items of a bundle, overridden by those that changed since, at one moment for one person."""

    def __init__(
        self, items: ItemTable, changed: ItemTable | None, cache: FilterCache, moment: int, past: Past = NOTHING_TAKEN
    ) -> None:
        self._items = items
        self._changed = changed if changed is not None and len(changed) else None
        self._cache = cache
        self._moment = moment
        self._past = past

    def everything(self) -> Bitmap:
        """All items."""
        return self._both(EVERYTHING, _whole).bitmap

    def held(self, expression: Expression) -> Held:
        """The items of which a folded expression is true."""
        match expression:
            case Seen():
                return Held(self._seen(expression))
            case _ if expression.reads_taken:
                return joint(expression, self.held, self.everything())
        return self._both(expression.text, lambda table: self._of_table(table, expression))

    def _both(self, text: str, of_table: Callable[[ItemTable], Held]) -> Held:
        """What holds of the items, and in their place of those that changed."""
        items, changed = self._items, self._changed
        if changed is None:
            return of_table(items)

        def overlay() -> Held:
            (main, one), (newer, other) = of_table(items), of_table(changed)
            return Held(overlaid(main, newer, rows_of(changed), n_rows(items, changed)), one.overlap(other))

        return self._cached((_BOTH, items.number, changed.number), text, overlay)

    def _of_table(self, table: ItemTable, expression: Expression) -> Held:
        def evaluate() -> Held:
            if expression.parts:
                return joint(expression, lambda part: self._of_table(table, part), table.everything)
            mask, span = condition(table, expression, self._moment)
            return Held(pack(mask) & table.everything, span)

        return self._cached(table.number, expression.text, evaluate)

    def _cached(self, number: Hashable, text: str, evaluate: Callable[[], Held]) -> Held:
        held = self._cache.find(number, text, self._moment)
        if held is None:
            held = evaluate()
            held.bitmap.flags.writeable = False
            self._cache.keep(number, text, held)
        return held

    def _seen(self, asked: Seen) -> Bitmap:
        taken, count = self._past.taken, n_rows(self._items, self._changed)
        chosen = (taken.moments <= self._moment) & (self._past.rows >= RESERVED) & (self._past.rows < count)
        if asked.type is not None:
            chosen &= np.fromiter((kind == asked.type for kind in taken.types), dtype=bool, count=len(chosen))
        if asked.within is not None:
            chosen &= self._moment - taken.moments < asked.within
        rows = self._past.rows[chosen]
        bitmap = np.zeros((count + 7) // 8, dtype=np.uint8)
        np.bitwise_or.at(bitmap, rows >> 3, np.uint8(1) << (rows & 7).astype(np.uint8))
        return bitmap & self.everything()


def joint(expression: Expression, held: Callable[[Expression], Held], everything: Bitmap) -> Held:
    """And, or, not, of the parts as `held` gives them."""
    first, *others = map(held, expression.parts)
    bitmap, span = first
    for other in others:
        bitmap = bitmap & other.bitmap if isinstance(expression, And) else bitmap | other.bitmap
        span = span.overlap(other.span)
    return Held(everything & ~bitmap if isinstance(expression, Not) else bitmap, span)


def condition(table: ItemTable, expression: Expression, moment: int) -> tuple[BoolArray, leaves.Span]:
    """bool [R] of a condition on the item alone; what it says of the reserved rows means nothing."""
    columns, bounds = table.attributes.columns, (table.available_from, table.available_to)
    match expression:
        case Comparison(ItemAttribute(name)):
            return leaves.comparison(columns[name], expression, moment)
        case Membership(ItemAttribute(name)):
            return leaves.membership(columns[name], expression), leaves.ALWAYS
        case Missing(ItemAttribute(name)):
            return ~leaves.known(columns[name]), leaves.ALWAYS
        case Available(Now(shift)):
            at = moment + shift
            return leaves.open_at(*bounds, at), leaves.open_span(*bounds, at).moved(-shift)
        case Available(Time(at)):
            return leaves.open_at(*bounds, at), leaves.ALWAYS
    raise TypeError(f"{expression} was not folded")


def rows_of(changed: ItemTable) -> IntArray:
    """int64 [R]: the item row of each record of a table of changed items."""
    if changed.rows is None:
        raise TypeError("a table of changed items must say which rows they have")
    return changed.rows


def n_rows(items: ItemTable, changed: ItemTable | None) -> int:
    """Rows of all items, those that were added among them."""
    return max(len(items), 0 if changed is None else int(rows_of(changed).max(initial=-1)) + 1)


def overlaid(main: Bitmap, changed: Bitmap, rows: IntArray, n_rows: int) -> Bitmap:
    """The bitmap of `n_rows` items of which those in `rows` int64 [C] are as record c of `changed` says."""
    bitmap = np.zeros((n_rows + 7) // 8, dtype=np.uint8)
    bitmap[: len(main)] = main
    bits = np.uint8(1) << (rows & 7).astype(np.uint8)
    np.bitwise_and.at(bitmap, rows >> 3, ~bits)
    passing = contains(changed, np.arange(len(rows)))
    np.bitwise_or.at(bitmap, rows[passing] >> 3, bits[passing])
    return bitmap


def _whole(table: ItemTable) -> Held:
    return Held(table.everything)

"""Bitmaps of expressions that were evaluated before, bounded in bytes; safe to use from several threads."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import NamedTuple

from serving.filters.leaves import ALWAYS, Span
from serving.retrieval.bitmap import Bitmap

MAX_BYTES = 32 * 2**20
OVERHEAD = 500
"""Bytes that an entry takes beside its bitmap, about."""


class Held(NamedTuple):
    """A set of rows, and for which moments it is the right one. The bitmap is read-only: it is shared."""

    bitmap: Bitmap
    span: Span = ALWAYS


class FilterCache:
    """The bitmaps used last, by the number of the item table and the text of the expression."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[Hashable, str], Held] = OrderedDict()
        self._lock = Lock()
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes that the entries take, about."""
        return self._bytes

    def find(self, table: Hashable, text: str, moment: int) -> Held | None:
        """What was kept for an expression, if it holds at this moment."""
        with self._lock:
            held = self._held.get((table, text))
            if held is None or not held.span.holds(moment):
                self.misses += 1
                return None
            self.hits += 1
            self._held.move_to_end((table, text))
            return held

    def keep(self, table: Hashable, text: str, held: Held) -> None:
        """Keep a bitmap, and let go of those that were not used for longest."""
        with self._lock:
            self._drop(self._held.pop((table, text), None))
            self._held[table, text] = held
            self._bytes += _bytes(held)
            while self._bytes > self._max_bytes:
                self._drop(self._held.popitem(last=False)[1])

    def _drop(self, held: Held | None) -> None:
        self._bytes -= 0 if held is None else _bytes(held)


def _bytes(held: Held) -> int:
    return held.bitmap.nbytes + OVERHEAD

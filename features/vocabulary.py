"""The one crossing between outside ids (strings) and inside rows (integers).

Row 0 is PAD and row 1 is UNKNOWN; known ids start at row 2. A vocabulary only grows and its rows never move.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from features.arrays import IntArray, mapped
from features.texts import Texts, utf8

PAD = 0
UNKNOWN = 1
RESERVED = 2


class Vocabulary:
    """An append-only mapping from strings to rows.

    Ids that were saved are mapped from files and shared between processes; those that came since lie in memory.
    """

    def __init__(self, ids: Iterable[str] = (), saved: "SavedIds | None" = None) -> None:
        """`ids` take the rows behind the saved ones."""
        self._saved = saved
        self._first = RESERVED + (len(saved) if saved else 0)
        self._fresh = list(ids)
        self._rows = {outside: row for row, outside in enumerate(self._fresh, start=self._first)}
        if len(self._rows) != len(self._fresh):
            raise ValueError("a vocabulary cannot hold an id twice")

    def __len__(self) -> int:
        """Number of rows, the two reserved ones included."""
        return self._first + len(self._fresh)

    def __contains__(self, outside: object) -> bool:
        return isinstance(outside, str) and self.row(outside) != UNKNOWN

    @property
    def ids(self) -> Sequence[str]:
        """Known ids in row order, from row 2."""
        return [*self._saved.texts, *self._fresh] if self._saved else self._fresh

    def row(self, outside: str) -> int:
        """The row of an id; UNKNOWN when it was never seen."""
        return int(self.rows([outside])[0])

    def rows(self, outside: Iterable[str]) -> IntArray:
        """Rows of many ids, int64 [n]; UNKNOWN for those never seen."""
        if self._saved is None:
            find = self._rows.get
            return np.fromiter((find(one, UNKNOWN) for one in outside), dtype=np.int64)
        asked = list(outside)
        rows = self._saved.rows(asked) if asked else np.empty(0, dtype=np.int64)
        if self._fresh:
            for place in np.flatnonzero(rows == UNKNOWN).tolist():
                rows[place] = self._rows.get(asked[place], UNKNOWN)
        return rows

    def id_of(self, row: int) -> str:
        """The id of a row. Raises IndexError for a reserved or absent row."""
        if not RESERVED <= row < len(self):
            raise IndexError(f"row {row} holds no id; rows run from {RESERVED} to {len(self) - 1}")
        if self._saved is not None and row < self._first:
            return self._saved.texts[row - RESERVED]
        return self._fresh[row - self._first]

    def ids_of(self, rows: IntArray) -> list[str]:
        """The ids of many rows. Raises IndexError for a reserved or absent row."""
        if self._saved is None or len(rows) == 0 or int(rows.max()) >= self._first or int(rows.min()) < RESERVED:
            return [self.id_of(row) for row in rows.tolist()]
        return self._saved.texts.at(rows - RESERVED)

    def extended(self, ids: Iterable[str]) -> Self:
        """A vocabulary with unseen ids appended in the order given; known rows stay where they are."""
        asked = list(dict.fromkeys(ids))
        unseen = (one for one, row in zip(asked, self.rows(asked).tolist(), strict=True) if row == UNKNOWN)
        return type(self)(chain(self._fresh, unseen), self._saved)

    def digest(self) -> bytes:
        """SHA-256 over all ids in the order of their rows."""
        texts = self._saved.texts if self._saved and not self._fresh else Texts.of(self.ids)
        return texts.digest()

    def save(self, directory: Path) -> None:
        """Write all ids, and what finds them."""
        SavedIds.of(self.ids).save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        return cls((), SavedIds.load(directory))


class Lookup:
    """The rows of some ids, each looked for once, however often they are asked for."""

    def __init__(self, vocabulary: Vocabulary, ids: Iterable[str]) -> None:
        asked = list(dict.fromkeys(ids))
        self._rows = dict(zip(asked, vocabulary.rows(asked).tolist(), strict=True))

    def rows(self, outside: Sequence[str]) -> IntArray:
        """Rows of any of these ids, int64 [n]; UNKNOWN for those that the vocabulary does not know."""
        return np.fromiter(map(self._rows.__getitem__, outside), dtype=np.int64, count=len(outside))


class SavedIds:
    """Ids in row order with their hashes, sorted, beside them: found by bisection and told apart by their text."""

    def __init__(self, texts: Texts, hashes: npt.NDArray[np.uint64], places: npt.NDArray[np.int32]) -> None:
        """`hashes` uint64 [n], ascending (XXH3 of the UTF-8); `places` int32 [n] of the texts that they belong to."""
        self.texts = texts
        self._hashes = hashes
        self._places = places

    @classmethod
    def of(cls, ids: Iterable[str]) -> Self:
        """Lay ids out in memory."""
        texts = Texts.of(ids)
        hashes = np.fromiter(
            (xxh3_64_intdigest(texts.encoded(place)) for place in range(len(texts))), dtype=np.uint64, count=len(texts)
        )
        order = np.argsort(hashes, kind="stable")
        return cls(texts, hashes[order], order.astype(np.int32))

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, outside: Sequence[str]) -> IntArray:
        """int64 [n]; UNKNOWN for an id that is not there."""
        encoded = [utf8(one) for one in outside]
        hashes = np.fromiter(map(xxh3_64_intdigest, encoded), dtype=np.uint64, count=len(encoded))
        rows = np.full(len(encoded), UNKNOWN, dtype=np.int64)
        first = np.searchsorted(self._hashes, hashes)
        hit = np.flatnonzero(self._hashes[np.minimum(first, len(self) - 1)] == hashes) if len(self) else first[:0]
        texts = self._places[first[hit]].astype(np.int64)
        same = self.texts.equal(texts, [encoded[one] for one in hit.tolist()])
        rows[hit] = np.where(same, RESERVED + texts, UNKNOWN)
        for one in hit[~same].tolist():
            rows[one] = self._behind(encoded[one], int(first[one]))
        return rows

    def _behind(self, encoded: bytes, place: int) -> int:
        """The row of an id whose hash another id has too: all of one hash stand side by side."""
        last = np.searchsorted(self._hashes, self._hashes[place], side="right")
        for text in self._places[place + 1 : last].tolist():
            if self.texts.encoded(text) == encoded:
                return RESERVED + int(text)
        return UNKNOWN

    def save(self, directory: Path) -> None:
        """Write the texts and three .npy files."""
        self.texts.save(directory)
        np.save(directory / "hashes.npy", self._hashes, allow_pickle=False)
        np.save(directory / "places.npy", self._places, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        return cls(Texts.load(directory), mapped(directory / "hashes.npy"), mapped(directory / "places.npy"))

"""Distinct texts as two arrays that can be memory-mapped: the code of a text is its place in byte order.

T texts. A list of a million Python strings would cost each worker some 60 MB; these arrays are shared.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import IntArray

ABSENT = -1
"""The code of no text."""


@dataclass(frozen=True)
class TextTable:
    """Sorted, distinct texts."""

    content: npt.NDArray[np.uint8]
    """uint8: the texts in UTF-8, one after another."""
    offsets: IntArray
    """int64 [T + 1]: text t is content[offsets[t] : offsets[t + 1]]."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def text(self, code: int) -> str:
        """The text of a code from 0 to T - 1."""
        return self._bytes(code).decode("utf-8", "surrogatepass")

    def code(self, text: str) -> int:
        """The code of a text; ABSENT when it is not in the table."""
        wanted = _encoded(text)
        place = bisect_left(range(len(self)), wanted, key=self._bytes)
        return place if place < len(self) and self._bytes(place) == wanted else ABSENT

    def _bytes(self, code: int) -> bytes:
        return self.content[self.offsets[code] : self.offsets[code + 1]].tobytes()

    @classmethod
    def of(cls, texts: Iterable[str]) -> tuple[Self, dict[str, int]]:
        """The table of some texts, which may repeat, and the code of each."""
        distinct = sorted((_encoded(text), text) for text in set(texts))
        offsets = np.zeros(len(distinct) + 1, dtype=np.int64)
        np.cumsum([len(content) for content, _ in distinct], out=offsets[1:])
        content = np.frombuffer(b"".join(content for content, _ in distinct), dtype=np.uint8)
        return cls(content, offsets), {text: code for code, (_, text) in enumerate(distinct)}


def _encoded(text: str) -> bytes:
    """UTF-8, in which byte order is the order of code points; JSON may hold half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")

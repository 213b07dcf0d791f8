"""Many texts in two flat arrays, so that a million of them are mapped from a file and shared between processes."""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from features.arrays import BoolArray, IntArray, mapped

ABSENT = -1
"""The code of no text."""


class Texts(Sequence[str]):
    """A read-only list of texts: UTF-8 bytes one behind the other, and where each begins."""

    def __init__(self, content: npt.NDArray[np.uint8], offsets: IntArray) -> None:
        """uint8 [bytes] and int64 [n + 1]."""
        self.content = content
        self.offsets = offsets
        self._bytes = content.data

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Lay texts out in memory."""
        encoded = [utf8(text) for text in texts]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        count = len(self)
        if not -count <= place < count:
            raise IndexError(f"there are {count} texts, none at {place}")
        return self.encoded(place % count).decode("utf-8", "surrogatepass")

    def at(self, places: IntArray) -> list[str]:
        """The texts at many places, int64 [n], each from 0 to the last."""
        starts, ends = self.offsets[places].tolist(), self.offsets[places + 1].tolist()
        content = self._bytes
        return [str(content[start:end], "utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=True)]

    def encoded(self, place: int) -> bytes:
        """The UTF-8 of one text."""
        start, end = self.offsets[place : place + 2].tolist()
        return bytes(self._bytes[start:end])

    def equal(self, places: IntArray, encoded: Sequence[bytes]) -> BoolArray:
        """bool [n]: whether the text at each place is this UTF-8."""
        starts, ends = self.offsets[places].tolist(), self.offsets[places + 1].tolist()
        pairs = zip(starts, ends, encoded, strict=True)
        return np.fromiter((self._bytes[start:end] == one for start, end, one in pairs), np.bool_, len(starts))

    def digest(self) -> bytes:
        """SHA-256 over the texts and where each begins."""
        hashed = hashlib.sha256(np.ascontiguousarray(self.offsets).tobytes())
        hashed.update(self._bytes)
        return hashed.digest()

    def save(self, directory: Path) -> None:
        """Write two .npy files into a directory, made when absent."""
        directory.mkdir(parents=True, exist_ok=True)
        np.save(directory / "content.npy", self.content, allow_pickle=False)
        np.save(directory / "offsets.npy", self.offsets, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        return cls(mapped(directory / "content.npy"), mapped(directory / "offsets.npy"))


class SortedTexts(Texts):
    """Distinct texts in the order of their bytes; the code of a text is its place."""

    @classmethod
    def with_codes(cls, texts: Iterable[str]) -> tuple[Self, dict[str, int]]:
        """The table of some texts, which may repeat, and the code of each."""
        distinct = sorted(set(texts), key=utf8)
        return cls.of(distinct), {text: code for code, text in enumerate(distinct)}

    def code(self, text: str) -> int:
        """The code of a text; ABSENT when it is not in the table."""
        wanted = utf8(text)
        place = bisect_left(range(len(self)), wanted, key=self.encoded)
        return place if place < len(self) and self.encoded(place) == wanted else ABSENT


def utf8(text: str) -> bytes:
    """UTF-8, in which byte order is the order of code points; JSON may hold half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")

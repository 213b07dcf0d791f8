"""Many texts in two flat arrays, so that a million of them are mapped from a file and shared between processes."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from features.arrays import BoolArray, IntArray


class Texts(Sequence[str]):
    """A read-only list of texts: UTF-8 bytes one behind the other, and where each begins."""

    def __init__(self, content: npt.NDArray[np.uint8], offsets: IntArray) -> None:
        """uint8 [bytes] and int64 [n + 1]."""
        self._content = content
        self._offsets = offsets
        self._bytes = content.data

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Lay texts out in memory."""
        encoded = [text.encode() for text in texts]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} texts, none at {place}")
        return self.encoded(place % len(self)).decode()

    def encoded(self, place: int) -> bytes:
        """The UTF-8 of one text."""
        return bytes(self._bytes[self._offsets[place] : self._offsets[place + 1]])

    def equal(self, places: IntArray, encoded: Sequence[bytes]) -> BoolArray:
        """bool [n]: whether the text at each place is this UTF-8."""
        starts, ends = self._offsets[places].tolist(), self._offsets[places + 1].tolist()
        pairs = zip(starts, ends, encoded, strict=True)
        return np.fromiter((self._bytes[start:end] == one for start, end, one in pairs), np.bool_, len(starts))

    def digest(self) -> bytes:
        """SHA-256 over the texts and where each begins."""
        hashed = hashlib.sha256(np.ascontiguousarray(self._offsets).tobytes())
        hashed.update(self._bytes)
        return hashed.digest()

    def save(self, directory: Path) -> None:
        """Write two .npy files into a directory, made when absent."""
        directory.mkdir(parents=True, exist_ok=True)
        np.save(directory / "content.npy", self._content, allow_pickle=False)
        np.save(directory / "offsets.npy", self._offsets, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote."""
        content, offsets = (
            np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("content", "offsets")
        )
        return cls(content, offsets)

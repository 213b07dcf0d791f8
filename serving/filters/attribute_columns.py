"""One attribute of all items, exactly as it was given: what a filter compares. Models see buckets, filters must not.

R item rows, N values of all rows together. A row without a value is missing, which every kind can tell.
"""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from features.arrays import IntArray
from features.dataset import ColumnConfig
from features.encoders import as_id, is_missing, split
from features.errors import RequestError
from features.moments import to_moment
from features.texts import ABSENT, SortedTexts

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
NO_MOMENT = int(np.iinfo(np.int64).min)
"""Stands where a time is missing."""
FIRST_MOMENT, LAST_MOMENT = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, in ms since the epoch: what a time may be."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Categories:
    """One text per row."""

    codes: npt.NDArray[np.int32]
    """int32 [R]: places in `texts`; ABSENT where missing."""
    texts: SortedTexts

    @classmethod
    def of(cls, values: Sequence[Any], rows: IntArray, n_rows: int) -> Self:
        """The column whose rows hold these values, as `exact_value` gives them."""
        texts, codes_of = SortedTexts.with_codes(text for text in values if text is not None)
        codes = np.full(n_rows, ABSENT, dtype=np.int32)
        codes[rows] = [ABSENT if text is None else codes_of[text] for text in values]
        return cls(codes, texts)

    def arrays(self) -> Arrays:
        """What is saved."""
        return {"codes": self.codes, "content": self.texts.content, "text_offsets": self.texts.offsets}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `arrays`."""
        return cls(arrays["codes"], SortedTexts(arrays["content"], arrays["text_offsets"]))


@dataclass(frozen=True)
class MultiCategories:
    """Any number of texts per row."""

    offsets: IntArray
    """int64 [R + 1]: row r holds codes[offsets[r] : offsets[r + 1]]; none where missing."""
    codes: npt.NDArray[np.int32]
    """int32 [N]: places in `texts`."""
    texts: SortedTexts

    @classmethod
    def of(cls, values: Sequence[Any], rows: IntArray, n_rows: int) -> Self:
        """The column whose rows hold these values, as `exact_value` gives them."""
        parts = [row or [] for row in values]
        texts, codes_of = SortedTexts.with_codes(part for row in parts for part in row)
        counts = np.zeros(n_rows, dtype=np.int64)
        counts[rows] = [len(row) for row in parts]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        flat = [codes_of[part] for place in np.argsort(rows, kind="stable").tolist() for part in parts[place]]
        return cls(offsets, np.array(flat, dtype=np.int32), texts)

    def arrays(self) -> Arrays:
        """What is saved."""
        texts: Arrays = {"content": self.texts.content, "text_offsets": self.texts.offsets}
        return {"offsets": self.offsets, "codes": self.codes, **texts}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `arrays`."""
        texts = SortedTexts(arrays["content"], arrays["text_offsets"])
        return cls(arrays["offsets"], arrays["codes"], texts)


@dataclass(frozen=True)
class Numbers:
    """One number per row."""

    values: npt.NDArray[np.float64]
    """float64 [R]; NaN where missing."""

    @classmethod
    def of(cls, values: Sequence[Any], rows: IntArray, n_rows: int) -> Self:
        """The column whose rows hold these values, as `exact_value` gives them."""
        numbers = np.full(n_rows, np.nan)
        numbers[rows] = [math.nan if value is None else value for value in values]
        return cls(numbers)

    def arrays(self) -> Arrays:
        """What is saved."""
        return {"values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `arrays`."""
        return cls(arrays["values"])


@dataclass(frozen=True)
class Moments:
    """One time per row."""

    values: IntArray
    """int64 [R]: ms since the epoch, UTC; NO_MOMENT where missing."""

    @classmethod
    def of(cls, values: Sequence[Any], rows: IntArray, n_rows: int) -> Self:
        """The column whose rows hold these values, as `exact_value` gives them."""
        moments = np.full(n_rows, NO_MOMENT)
        moments[rows] = [NO_MOMENT if value is None else value for value in values]
        return cls(moments)

    def arrays(self) -> Arrays:
        """What is saved."""
        return {"values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of `arrays`."""
        return cls(arrays["values"])


Column: TypeAlias = Categories | MultiCategories | Numbers | Moments
KINDS: dict[str, type[Column]] = {
    "categorical": Categories,
    "multi_categorical": MultiCategories,
    "numeric": Numbers,
    "time": Moments,
    "birth_date": Moments,
}
"""The column of each role; text is for towers, not for filters."""


def exact_value(column: ColumnConfig, value: Any) -> str | list[str] | float | int | None:
    """A raw value as filters compare it: text, distinct texts, number, or moment; None (or no texts) when missing.

    Raises RequestError for what cannot be a value of the column's role.
    """
    if is_missing(value):
        return None
    match column.role:
        case "categorical":
            return _text(value)
        case "multi_categorical":
            several = value if isinstance(value, str | list | tuple | np.ndarray) else [value]
            return list(dict.fromkeys(split(several, column.separator)))
        case "numeric":
            return _number(value)
        case "time" | "birth_date":
            return as_moment(value)
    raise RequestError("filters do not read free text")


def _text(value: Any) -> str | None:
    if isinstance(value, list | tuple | dict | np.ndarray):
        raise RequestError("this is one text, not several values", hint="Send one text, or leave it out.")
    return as_id(value) or None


def _number(value: Any) -> float:
    numeric = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if numeric or (isinstance(value, str) and _NUMBER.fullmatch(value.strip())):
        with suppress(OverflowError):
            return float(value) + 0.0  # -0.0 is 0.0
    raise RequestError("this is no number", hint="Send a number, or leave it out.")


def as_moment(value: Any) -> int:
    """The moment of a datetime, RFC 3339 text, or seconds since the epoch. Raises RequestError when it is no time."""
    try:
        moment = to_moment(value.upper() if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        moment = NO_MOMENT
    if FIRST_MOMENT <= moment <= LAST_MOMENT:
        return moment
    raise RequestError("this is no time", hint="Send RFC 3339 text with a zone, such as 2026-05-01T18:30:00Z.")

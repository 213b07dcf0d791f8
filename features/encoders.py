"""One encoder per column role: outside values in, small integer codes out.

Every attribute becomes `width` integer codes below `size`, so that a tower needs nothing but embeddings:
0 is PAD (no value in this slot), 1 is UNKNOWN (missing or never seen), real codes start at 2.
"""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from features.arrays import IntArray
from features.dataset import ColumnConfig, Role
from features.moments import YEAR, to_moment
from features.vocabulary import PAD, RESERVED, UNKNOWN, Vocabulary

QUANTILES = 16
MULTI_WIDTH = 16
TEXT_WIDTH = 48
TEXT_BUCKETS = 4096
AGE_STEP_YEARS = 5
MAX_CATEGORIES = 100_000


@dataclass(frozen=True)
class Field:
    """An encoded attribute: `width` codes per value, each below `size`."""

    name: str
    role: Role
    width: int
    size: int
    separator: str | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    edges: tuple[float, ...] = ()

    def encode(self, values: Iterable[Any], moment: int | None = None) -> IntArray:
        """Encode values to int64 [n, width]; `moment` (ms since the epoch) is needed for ages only."""
        rows = [self._codes(value, moment) for value in values]
        codes = np.full((len(rows), self.width), PAD, dtype=np.int64)
        for index, row in enumerate(rows):
            codes[index, : len(row)] = row[: self.width]
        return codes

    def _codes(self, value: Any, moment: int | None) -> list[int]:
        if is_missing(value):
            return [UNKNOWN]
        match self.role:
            case "categorical":
                return [self.vocabulary.row(as_id(value))]
            case "multi_categorical":
                return [self.vocabulary.row(part) for part in split(value, self.separator)] or [UNKNOWN]
            case "numeric":
                return [self._bucket(float(value))]
            case "time":
                return [self._bucket(float(to_moment(value)))]
            case "text":
                return [RESERVED + hashed for hashed in hashed_ngrams(str(value))] or [UNKNOWN]
            case "birth_date":
                return [_age_code(value, moment, self.size)]

    def _bucket(self, number: float) -> int:
        return RESERVED + int(np.searchsorted(self.edges, number, side="right"))

    def describe(self, code: int) -> str:
        """The outside text of a categorical code, for reasons and reports."""
        return self.vocabulary.id_of(code) if code >= RESERVED and len(self.vocabulary) > RESERVED else "unknown"

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes an equal field."""
        return {
            "name": self.name,
            "role": self.role,
            "width": self.width,
            "size": self.size,
            "separator": self.separator,
            "vocabulary": list(self.vocabulary.ids),
            "edges": list(self.edges),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**{**content, "vocabulary": Vocabulary(content["vocabulary"]), "edges": tuple(content["edges"])})


def fit_field(name: str, column: ColumnConfig, values: Sequence[Any]) -> Field:
    """Learn the encoder of one column from the values of a training slice."""
    present = [value for value in values if not is_missing(value)]
    match column.role:
        case "categorical":
            return _fit_categories(name, column, [[as_id(value)] for value in present], width=1)
        case "multi_categorical":
            parts = [split(value, column.separator) for value in present]
            width = min(MULTI_WIDTH, max((len(part) for part in parts), default=1) or 1)
            return _fit_categories(name, column, parts, width)
        case "numeric":
            return _fit_quantiles(name, column, np.array([float(value) for value in present]))
        case "time":
            return _fit_quantiles(name, column, np.array([float(to_moment(value)) for value in present]))
        case "text":
            longest = max((len(hashed_ngrams(str(value))) for value in present), default=1)
            return Field(name, "text", width=max(1, min(TEXT_WIDTH, longest)), size=RESERVED + TEXT_BUCKETS)
        case "birth_date":
            return Field(name, "birth_date", width=1, size=RESERVED + 100 // AGE_STEP_YEARS)


def _fit_categories(name: str, column: ColumnConfig, parts: list[list[str]], width: int) -> Field:
    counts = Counter(part for row in parts for part in row)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_CATEGORIES]
    vocabulary = Vocabulary([category for category, _ in ranked])
    return Field(name, column.role, width, len(vocabulary), column.separator, vocabulary)


def _fit_quantiles(name: str, column: ColumnConfig, numbers: np.ndarray) -> Field:
    edges = quantile_edges(numbers, QUANTILES)
    return Field(name, column.role, 1, RESERVED + len(edges) + 1, edges=edges)


def quantile_edges(numbers: np.ndarray, buckets: int) -> tuple[float, ...]:
    """Distinct inner edges that cut numbers into at most `buckets` parts of about equal mass."""
    finite = numbers[np.isfinite(numbers)]
    distinct = np.unique(finite)
    if len(distinct) < 2:
        return ()
    if len(distinct) <= buckets:
        return tuple(float(edge) for edge in (distinct[1:] + distinct[:-1]) / 2)
    quantiles = np.quantile(finite, np.linspace(0, 1, buckets + 1)[1:-1])
    return tuple(float(edge) for edge in np.unique(quantiles))


def hashed_ngrams(text: str) -> list[int]:
    """Stable buckets of a text's words and of the character trigrams of each word, without repeats."""
    words = "".join(char.lower() if char.isalnum() else " " for char in text).split()
    grams = list(words)
    for word in words:
        padded = f"<{word}>"
        grams.extend(f"#{padded[start : start + 3]}" for start in range(len(padded) - 2))
    return list(dict.fromkeys(zlib.crc32(gram.encode()) % TEXT_BUCKETS for gram in grams))


def split(value: Any, separator: str | None) -> list[str]:
    """The parts of a multi-categorical value: a list, or text cut at the separator."""
    if isinstance(value, str):
        parts: Iterable[Any] = value.split(separator) if separator else [value]
    else:
        parts = value
    return [as_id(part) for part in parts if not is_missing(part) and as_id(part)]


def as_id(value: Any) -> str:
    """An outside id or category as text; whole numbers take their decimal form."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def is_missing(value: Any) -> bool:
    """Whether a value is null in any of the frame libraries' ways (None, NaN, NaT, NA)."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return type(value).__name__ in ("NaTType", "NAType")


def _age_code(value: Any, moment: int | None, size: int) -> int:
    if moment is None:
        return UNKNOWN
    years = (moment - to_moment(value)) / YEAR
    return min(size - 1, RESERVED + int(years // AGE_STEP_YEARS)) if years >= 0 else UNKNOWN

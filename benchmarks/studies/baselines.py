"""What the studies measure against: likeness by attributes, and popularity among people alike.

R item rows, A attribute codes of an item, V distinct terms, C cells of people.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.dataset import DatasetConfig
from features.encoders import as_id
from features.people import People
from features.schema import FieldSize, Schema
from features.vocabulary import RESERVED
from training.slices import positive_rows
from training.statistics import item_rows

PRIOR = 10.0
"""Events' worth of everybody's taste that a cell of people begins with."""


class NeighbourSettings(NamedTuple):
    """How content neighbours read a history."""

    decay: float
    """Weight of an event relative to the one after it; 1 is the plain mean."""
    idf_power: float
    """Exponent of the inverse document frequency; 0 counts every term alike."""

    def __str__(self) -> str:
        return f"decay {self.decay}, idf power {self.idf_power}"


VARIANTS = tuple(NeighbourSettings(decay, power) for power in (0.0, 1.0, 2.0) for decay in (1.0, 0.9, 0.7, 0.4))


class ContentNeighbours:
    """Mean cosine between an item and the history, over TF-IDF weighted multi-hot attributes.

    The attributes are those that the item tower reads. With idf = 1 + log((1 + n) / (1 + df)).
    """

    def __init__(self, codes: np.ndarray, sizes: Sequence[FieldSize], settings: NeighbourSettings) -> None:
        """`codes` int [R, A] as a bundle's catalogue holds them."""
        starts = np.cumsum([0, *(one.size for one in sizes)])
        offsets = np.repeat(starts[:-1], [one.width for one in sizes]).astype(np.int64)
        real = codes >= RESERVED
        self._decay = settings.decay
        self._terms = np.where(real, codes + offsets, 0).astype(np.int64)  # [R, A]
        self._n_terms = int(starts[-1]) + 1
        frequency = np.bincount(self._terms[real], minlength=self._n_terms)
        idf = (1 + np.log((1 + len(codes)) / (1 + frequency))) ** settings.idf_power
        weights = np.where(real, idf[self._terms], 0.0)
        norms = np.sqrt((weights**2).sum(axis=1, keepdims=True))
        self._weights = (weights / np.maximum(norms, 1e-12)).astype(np.float32)  # [R, A]

    def scores(self, history_rows: IntArray) -> FloatArray:
        """float32 [R] after a history int64 [T], oldest first; zeros when it is empty."""
        ages = np.arange(len(history_rows))[::-1]
        share = self._decay**ages / max(float((self._decay**ages).sum()), 1e-12)
        terms, weights = self._terms[history_rows], self._weights[history_rows] * share[:, None]
        taste = np.bincount(terms.ravel(), weights=weights.ravel(), minlength=self._n_terms).astype(np.float32)
        return np.asarray((taste[self._terms] * self._weights).sum(axis=1), dtype=np.float32)


def cell_columns(dataset: DatasetConfig) -> tuple[str, ...]:
    """The user attributes whose combinations are the cells: those that are protected and never change."""
    return tuple(name for name, one in dataset.users.columns.items() if one.protected and not one.changes)


class CellPopularity:
    """Popularity among people with the same protected attributes, such as gender and age band."""

    def __init__(self, schema: Schema, people: People) -> None:
        self._columns = cell_columns(schema.dataset)
        events = people.events.where(positive_rows(schema.dataset, people.events))
        cells = [self._cell(people.person(str(user), -1).attributes) for user in events.users]
        self._codes = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
        of_user = np.array([self._codes[cell] for cell in cells], dtype=np.int64)
        rows, total = item_rows(schema, events), len(schema.items)
        flat = of_user[events.user_codes] * total + rows
        counts = np.bincount(flat, minlength=len(self._codes) * total).reshape(-1, total)  # [C, R]
        self._everybody = np.bincount(rows, minlength=total).astype(np.float32)
        self._counts = (counts + PRIOR * self._everybody / max(len(rows), 1)).astype(np.float32)

    def scores(self, attributes: Mapping[str, Any]) -> FloatArray:
        """float32 [R] for somebody's attributes; everybody's popularity in a cell that training never met."""
        code = self._codes.get(self._cell(attributes))
        return self._everybody if code is None else np.asarray(self._counts[code])

    def _cell(self, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(as_id(attributes.get(name)) for name in self._columns)

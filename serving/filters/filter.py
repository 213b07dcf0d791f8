"""A filter that was read and checked, and what it is asked about: the rows of the items that pass."""

from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from features.dataset import DatasetConfig
from features.person import Person
from serving.filters.cache import FilterCache
from serving.filters.checking import check
from serving.filters.evaluation import NOTHING_TAKEN, Evaluation, ItemTable, Past, n_rows
from serving.filters.expressions import And, Expression
from serving.filters.folding import Folding
from serving.filters.parsing import parse
from serving.retrieval.bitmap import Bitmap


@dataclass(frozen=True)
class FilterScope:
    """The items, the person and the moment that a filter is asked about; R rows with those that were added."""

    items: ItemTable
    """The items of the bundle by row."""
    moment: int
    """ms since the epoch, or the sequence number where events have no time."""
    cache: FilterCache
    person: Person = field(default_factory=Person)
    past: Past = NOTHING_TAKEN
    """What the person took; read only by filters with `reads_taken`."""
    changed: ItemTable | None = None
    """Items that were changed or added since: their rows here override those of `items`."""

    @property
    def n_rows(self) -> int:
        """Number of rows, those of added items among them."""
        return n_rows(self.items, self.changed)


@dataclass(frozen=True)
class Filter:
    """A condition on items, in normal form."""

    expression: Expression
    dataset: DatasetConfig = field(repr=False)

    @property
    def text(self) -> str:
        """The canonical text; reading it gives an equal filter."""
        return self.expression.text

    @property
    def reads_taken(self) -> bool:
        """Whether it asks what the person took, so that the scope must say."""
        return self.expression.reads_taken

    def conditions(self) -> tuple["Filter", ...]:
        """What an item must fulfil all of, each as a filter of its own."""
        parts = self.expression.members if isinstance(self.expression, And) else (self.expression,)
        return tuple(Filter(one, self.dataset) for one in parts)

    def bitmap(self, scope: FilterScope) -> Bitmap:
        """The items that pass, uint8 [ceil(R / 8)], never the reserved rows; shared, so read-only."""
        folded = Folding(self.dataset, scope.person, scope.moment).fold(self.expression)
        evaluation = Evaluation(scope.items, scope.changed, scope.cache, scope.moment, scope.past)
        if isinstance(folded, bool):
            everything = evaluation.everything()
            return everything if folded else np.zeros_like(everything)
        return evaluation.held(folded).bitmap


def parse_filter(text: str, dataset: DatasetConfig) -> Filter:
    """Read a filter and hold it against the data set.

    Raises RequestError, field `filter`, that says where in the text and what to write instead.
    """
    return Filter(check(parse(text), dataset), dataset)


class FilterReader:
    """Reads the filters of one data set, a text that came lately only once; safe to use from several threads."""

    def __init__(self, dataset: DatasetConfig, kept: int = 256) -> None:
        self._read = lru_cache(kept)(partial(parse_filter, dataset=dataset))

    def read(self, text: str) -> Filter:
        """The filter of a text. Raises as `parse_filter` does."""
        return self._read(text)

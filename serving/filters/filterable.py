"""The items of a bundle as filters read them: as they were written, those that changed since, and sets kept of both."""

from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np

from features.dataset import DatasetConfig
from features.person import Person
from features.schema import Schema
from serving.catalogue import Catalogue
from serving.filters import Filter, FilterCache, FilterScope, ItemTable, Past
from serving.filters.attributes import Attributes
from serving.items.delta import Delta
from serving.retrieval.bitmap import Bitmap

_NUMBERS = count()


@dataclass(frozen=True)
class FilterableItems:
    """What filters are asked of; the sets that are kept are shared by all states of one bundle's items."""

    items: ItemTable
    changed: ItemTable | None = None
    cache: FilterCache = field(default_factory=FilterCache)

    @classmethod
    def load(cls, directory: Path, name: str, catalogue: Catalogue) -> Self:
        """Map the attributes of a catalogue's items; `name` stands for this content and no other."""
        opens, closes = np.asarray(catalogue.available_from), np.asarray(catalogue.available_to)
        return cls(ItemTable(name, Attributes.load(directory), opens, closes))

    def with_changes(self, dataset: DatasetConfig, delta: Delta) -> "FilterableItems":
        """The same items with a delta above them."""
        attributes = Attributes.of(dataset.items.columns, delta.attributes)
        number = (self.items.number, next(_NUMBERS))
        return replace(
            self,
            changed=ItemTable(number, attributes, delta.available_from, delta.available_to, delta.rows),
        )

    def passing(self, chosen: Filter, schema: Schema, person: Person, moment: int) -> Bitmap:
        """Rows that pass a filter for this person at a moment; `schema` knows the ids of new items too."""
        taken = person.taken_until(moment)
        past = Past(taken, schema.items.rows(taken.item_ids)) if chosen.reads_taken else Past()
        return chosen.bitmap(FilterScope(self.items, moment, self.cache, person, past, self.changed))

"""Records as parallel arrays: everything of one kind in a batch, one row of each array for one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from features.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class Records:
    """Every field of a subclass is an array; all have the same number of rows."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def select(self, rows: BoolArray | IntArray) -> Self:
        """Some of the records: by mask, or by row in the order given."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """The records of all parts, one part after another; there must be one."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

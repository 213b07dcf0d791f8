"""All that decides an answer at one moment: a bundle, the item changes since, and the pipeline over both."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from serving.bundle import Bundle
from serving.items.delta import Delta, ItemRecord
from serving.pipeline import Pipeline
from serving.state.item_log import ItemChange


class Snapshot(NamedTuple):
    """Never changes: what came since makes another one."""

    main: Bundle
    """As it lies in files, those of a merge in place of its own where there are some."""
    merged: int
    """The newest item change that is in these files."""
    delta: Delta
    """What changed since."""
    pipeline: Pipeline
    """Over the main bundle and the delta."""
    number: int
    """The newest item change that is in the pipeline."""

    @classmethod
    def of(cls, main: Bundle, merged: int) -> Self:
        """A bundle without any delta."""
        return cls(main, merged, Delta.empty(main.schema, main.catalogue), Pipeline(main), merged)

    @property
    def trained_on(self) -> int:
        """The newest item change that was in the tables from which the bundle was trained, if its maker said so."""
        return int(self.main.manifest.get("item_changes", 0))

    def after(self, changes: Sequence[ItemChange]) -> Self:
        """With these changes too, in their order."""
        records = [ItemRecord(one.item_id, one.attributes, one.moment) for one in changes]
        delta = self.main.tables.after(self.delta, records)
        pipeline = self.pipeline if delta is self.delta else Pipeline(self.main.with_items(delta))
        return self._replace(delta=delta, pipeline=pipeline, number=changes[-1].number)

    def passing(self, number: int) -> Self:
        """With a change counted as seen that cannot be applied."""
        return self._replace(number=number)

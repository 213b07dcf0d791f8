"""All that decides an answer at one moment: a bundle, the item changes since, and the pipeline over both."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from serving.bundle import Bundle
from serving.pipeline import Pipeline
from serving.state.item_log import ItemChange


class Snapshot(NamedTuple):
    """Never changes: what came since makes another one."""

    main: Bundle
    """As it was opened, without any change."""
    pipeline: Pipeline
    """Over the main bundle and the changes."""
    number: int
    """The newest item change that is in it."""

    @classmethod
    def of(cls, main: Bundle) -> Self:
        """A bundle as it was opened; what it was trained on holds the changes up to a number of its own."""
        return cls(main, Pipeline(main), int(main.manifest.get("item_changes", 0)))

    @property
    def changed(self) -> int:
        """Number of items that differ from the files of the bundle."""
        return 0

    def after(self, changes: Sequence[ItemChange]) -> Self:
        """With these changes too, in their order."""
        return self._replace(number=changes[-1].number)

    def passing(self, number: int) -> Self:
        """With a change counted as seen that cannot be applied."""
        return self._replace(number=number)

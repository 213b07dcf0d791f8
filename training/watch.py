"""Who may look on while something is fitted, and end it: a search that prunes, a budget that runs out."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class FitWatch(Protocol):
    """Called after every step and once more after every epoch; ends the fit by raising, which the fit lets through."""

    def __call__(self, history: Sequence[Mapping[str, float]]) -> None:
        """`history` has one record of figures per epoch judged so far, also those before a resumption."""

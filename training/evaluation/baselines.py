"""What every model is measured against: simple rules that rank the whole catalogue.

Each has `scores(history_rows) -> float32 [R]`, as `serving.retrieval.transitions.Transitions` has, which is the
fourth beside popularity, recent popularity and the Markov chain; reserved rows score -inf.

Letters: R rows of the item table, N events, U users, T events of a history.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from features.arrays import FloatArray, IntArray
from features.errors import DataError
from features.vocabulary import RESERVED
from serving.retrieval.transitions import Transitions, TransitionSettings
from training.transitions.fit import fit_transitions

MILLISECONDS_PER_DAY = 86_400_000
TIE_BREAK = 1e-5
"""Weight of log popularity, below the distance of any two log counts up to 7,000."""


class Scorer(Protocol):
    """Anything that scores the catalogue after a history of item rows [T], oldest first."""

    def scores(self, history_rows: IntArray) -> FloatArray:
        """float32 [R] scores; more is better."""


class Popularity:
    """The items that were taken most often."""

    def __init__(self, item_rows: IntArray, n_rows: int) -> None:
        self._scores = _catalogue(np.bincount(item_rows, minlength=n_rows))

    def scores(self, history_rows: IntArray) -> FloatArray:  # noqa: ARG002 - the same for everybody
        """float32 [R] events of each item in training."""
        return self._scores


class RecentPopularity:
    """The items that were taken most often of late: an event counts half as much each half-life.

    The age of an event counts back from the newest one, so that old data give the same list at any time.
    """

    def __init__(self, item_rows: IntArray, moments: IntArray, n_rows: int, half_life_days: float = 7.0) -> None:
        """`moments` int64 [N] are milliseconds since the epoch. Raises `DataError` when they do not fit."""
        if len(moments) != len(item_rows):
            raise DataError(f"{len(item_rows)} events came with {len(moments)} moments")
        if half_life_days <= 0:
            raise DataError(f"half_life_days must be above 0; got {half_life_days}")
        newest = moments.max(initial=0)
        half_lives = (newest - moments) / (half_life_days * MILLISECONDS_PER_DAY)
        self._scores = _catalogue(np.bincount(item_rows, 0.5**half_lives, minlength=n_rows))

    def scores(self, history_rows: IntArray) -> FloatArray:  # noqa: ARG002 - the same for everybody
        """float32 [R] events of each item in training, decayed by age."""
        return self._scores


def markov_chain(item_rows: IntArray, offsets: IntArray, n_rows: int) -> Transitions:
    """First-order Markov chain: what most often came right after the last item, then what is popular.

    The score rises with the count; log popularity is weighted so low that it orders only equal counts.
    """
    next_only = TransitionSettings(
        window=1, smoothing=1.0, max_history=1, head=1, head_mass=1.0, popularity_weight=TIE_BREAK
    )
    return fit_transitions(item_rows, offsets, n_rows, next_only)


def _catalogue(values: npt.NDArray[Any]) -> FloatArray:
    """float32 [R] read-only scores that leave the reserved rows out."""
    scores = values.astype(np.float32)
    scores[:RESERVED] = -np.inf
    scores.flags.writeable = False
    return scores

"""Fast random choices: items by the day's popularity, and one of several by logits."""

import numpy as np

from features.arrays import BoolArray, IntArray
from training.simulator.latent import RealArray
from training.simulator.world import World


class PopularityDraw:
    """Draws items by their day's popularity, of the whole world or of one part of it.

    The cumulative chances of all days lie end to end, day d from d to d + 1, so that one binary search
    answers for any mixture of days.
    """

    def __init__(self, world: World, part: BoolArray | None = None) -> None:
        """`part` bool [I] says which items take part; all, if not given."""
        chosen = np.ones(len(world.catalogue), dtype=bool) if part is None else part
        self._items = np.flatnonzero(chosen)
        chances = world.popularity[:, self._items]
        chances = chances / chances.sum(axis=1, keepdims=True)
        steps = np.minimum(np.cumsum(chances, axis=1), 1.0)
        steps[:, -1] = 1.0
        self._steps = (steps + np.arange(len(steps))[:, None]).ravel()

    def __call__(self, rng: np.random.Generator, days: IntArray, count: int) -> IntArray:
        """int64 [A, count] items, drawn with replacement for days [A]."""
        found = np.searchsorted(self._steps, days[:, None] + rng.random((len(days), count)), side="right")
        items: IntArray = self._items[found - days[:, None] * len(self._items)]
        return items


def gumbel(rng: np.random.Generator, logits: RealArray) -> RealArray:
    """Logits plus Gumbel noise: the largest is a draw from their softmax (Gumbel, 1954)."""
    return logits - np.log(rng.standard_exponential(logits.shape))


def pick(items: IntArray, noisy: RealArray) -> tuple[IntArray, IntArray]:
    """[A] column and [A] item with the largest noisy logit of each row [A, N]; item -1 where all are -inf."""
    columns = noisy.argmax(axis=1)
    rows = np.arange(len(columns))
    return columns, np.where(np.isfinite(noisy[rows, columns]), items[rows, columns], -1)

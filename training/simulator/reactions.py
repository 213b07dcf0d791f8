"""What people do with an item they took up: skip or play it, view, put into the cart, or buy it."""

from enum import IntEnum

import numpy as np

from features.arrays import BoolArray, IntArray
from features.moments import SECOND
from training.simulator.latent import RealArray


class Outcome(IntEnum):
    """How far it went with an item."""

    SKIPPED = 0
    PLAYED = 1
    VIEWED = 2
    CARTED = 3
    BOUGHT = 4


SKIP_RESTS_DAYS = 30
PLAY_RESTS_DAYS = 14
PURCHASE_RESTS_DAYS = 30
REST_DAYS = np.array([SKIP_RESTS_DAYS, PLAY_RESTS_DAYS, 0.5, 0.5, PURCHASE_RESTS_DAYS])
"""Days for which a person does not take an item up again, by outcome."""
_SKIPS_BELOW = 0.2
_CARTS = 0.3
_BUYS = 0.15


def react(rng: np.random.Generator, liking: RealArray, streamed: BoolArray) -> tuple[IntArray, RealArray]:
    """[N] outcomes and [N] enjoyment, 0 to 1, of items that are liked so much (in logits)."""
    enjoyment = 1 / (1 + np.exp(0.5 - liking - rng.normal(0.0, 0.7, len(liking))))
    resolve = rng.random(len(liking)) / enjoyment
    bought = np.where(resolve < _BUYS, Outcome.BOUGHT, np.where(resolve < _CARTS, Outcome.CARTED, Outcome.VIEWED))
    played = np.where(enjoyment < _SKIPS_BELOW, Outcome.SKIPPED, Outcome.PLAYED)
    return np.where(streamed, played, bought).astype(np.int64), enjoyment


def pauses(rng: np.random.Generator, duration: RealArray, streamed: BoolArray, enjoyment: RealArray) -> IntArray:
    """[N] milliseconds until the next step: the seconds played, or a look at a thing in a shop."""
    looked = 30 + rng.lognormal(3.3, 0.7, len(duration))
    return np.round(np.where(streamed, 30 + duration * enjoyment, looked)).astype(np.int64) * SECOND

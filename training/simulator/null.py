"""The null world: nothing to learn but what is popular on a day. Whoever beats popularity here has a leak.

Each event's item is drawn anew from the popularity of its day (UTC), and its type from the kind of the item.
Neither person, history, session nor hour has a say in it; types must not either, or a purchase after a view
would tell that a shop item comes next.

Items neither come nor go here, and none is favoured for being new, so that every day has the same popularity:
whoever knew better than a count what is about to be popular would beat it rightly, and hide a leak.
"""

from dataclasses import replace

import numpy as np

from training.simulator.draws import PopularityDraw
from training.simulator.log import CART, IMPRESSION, PLAY, PURCHASE, RETURN, SKIP, VIEW, EventLog
from training.simulator.world import World

_SHOP_TYPES, _SHOP_ODDS = np.array([VIEW, CART, PURCHASE, RETURN]), [0.75, 0.16, 0.08, 0.01]
_STREAMING_TYPES, _STREAMING_ODDS = np.array([PLAY, SKIP]), [0.85, 0.15]


def redraw(world: World, log: EventLog, draw: PopularityDraw, rng: np.random.Generator) -> EventLog:
    """The log with other items, types and shares; people, moments, sessions and slots stay."""
    items = draw(rng, world.day(log.moments), 1)[:, 0]
    bought = rng.choice(_SHOP_TYPES, len(log), p=_SHOP_ODDS)
    played = rng.choice(_STREAMING_TYPES, len(log), p=_STREAMING_ODDS)
    taken = np.where(world.catalogue.streamed[items], played, bought)
    types = np.where(log.types == IMPRESSION, IMPRESSION, taken)
    return replace(log, items=items, types=types, share=rng.random(len(log)))

"""Items of which the first fit is told nothing, so that the ranker learns what a newcomer is worth.

A ranker whose candidates all had a past learns that an item without one is never taken, and then nobody is shown it:
new items stay invisible until the next training. So the events of a few items are kept from the first fit; what is
left of them are their attributes, and the ranker meets them as the service meets an item that came yesterday. The
refit is told everything.

Items that nobody took at all stay out of the ranker's examples: they may be as new as can be, and as candidates that
were never taken they would teach that newcomers are worth nothing.
"""

import numpy as np

from features.arrays import BoolArray
from features.dataset import DatasetConfig
from features.events import EventTable, Tables
from features.schema import Schema

STREAM = 17
"""Beside the seed, so that nobody else who draws items with that seed draws the same ones."""


def held_back_items(dataset: DatasetConfig, tables: Tables, events: EventTable, share: float, seed: int) -> BoolArray:
    """bool over `events.items`: a `share` of the items that have events and attributes, drawn evenly."""
    chosen = np.zeros(len(events.items), dtype=bool)
    if not dataset.items.columns:
        return chosen
    taken = np.unique(events.item_codes)
    described = taken[np.isin(events.items[taken].astype(str), tables.items.ids.astype(str))]
    draw = np.random.default_rng((seed, STREAM))
    drawn = draw.choice(described, int(share * len(described)), replace=False)
    chosen[drawn] = True
    return chosen


def never_taken(schema: Schema, events: EventTable) -> BoolArray:
    """bool [R]: items without a single event, which are no evidence of what a newcomer is worth."""
    untaken = np.ones(len(schema.items), dtype=bool)
    untaken[schema.items.rows(events.items)[np.unique(events.item_codes)]] = False
    return untaken

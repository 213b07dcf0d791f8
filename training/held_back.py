"""Items of which the first fit is told nothing, so that the ranker learns what a newcomer is worth.

A ranker whose candidates all had a past learns that an item without one is never taken, and then nobody is shown it:
new items stay invisible until the next training. So the events of a few items are kept from the first fit; what is
left of them are their attributes, and the ranker meets them as the service meets an item that came yesterday. The
refit is told everything.
"""

import numpy as np

from features.arrays import BoolArray
from features.dataset import DatasetConfig
from features.events import EventTable, Tables


def held_back_items(dataset: DatasetConfig, tables: Tables, events: EventTable, share: float, seed: int) -> BoolArray:
    """bool over `events.items`: a `share` of the items that have attributes, drawn evenly; none where none has any."""
    chosen = np.zeros(len(events.items), dtype=bool)
    if not dataset.items.columns:
        return chosen
    described = np.flatnonzero(np.isin(events.items.astype(str), tables.items.ids.astype(str)))
    drawn = np.random.default_rng(seed).choice(described, int(share * len(described)), replace=False)
    chosen[drawn] = True
    return chosen

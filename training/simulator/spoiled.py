"""A spoiled log: who did it no longer tells what was done. What a broken join in somebody's pipeline leaves behind.

The items of a day's events of one type are dealt anew among these events. Days, types, people and popularity stay
right, so that the tables pass every check; what a person likes, and what follows what, is gone.
"""

from dataclasses import replace

import numpy as np

from features.moments import DAY
from training.simulator.log import EventLog
from training.simulator.settings import SimulatorSettings


def spoil(settings: SimulatorSettings, log: EventLog, rng: np.random.Generator) -> EventLog:
    """The log with the first `settings.shuffled` of the window spoiled; the same log when that is 0."""
    end = settings.start_moment + settings.shuffled * (settings.end_moment - settings.start_moment)
    rows = np.flatnonzero(log.moments < end)
    cells = log.moments[rows] // DAY * 100 + log.types[rows]
    dealt = log.items.copy()
    for cell in np.unique(cells):
        mine = rows[cells == cell]
        dealt[mine] = log.items[rng.permutation(mine)]
    return replace(log, items=dealt)

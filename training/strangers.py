"""A few of the ranker's moments are asked as if their person came for the first time.

By the time of a training most people have a past, so that a ranker hardly ever meets a list without one, and orders a
newcomer's by inputs that say nothing then. What a stranger takes is learned from people whose past is left out: who
they are and the circumstances stay, as a service knows them of whoever comes without a history.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.person import Events
from training.moments import Moment

STREAM = 18
"""Beside the seed, so that nobody else who draws moments with that seed draws the same ones."""


def with_strangers(moments: Sequence[Moment], share: float, seed: int) -> list[Moment]:
    """The moments, a `share` of them without what the person did before, drawn evenly.

    A list that was shown was made for a past, and keeps it.
    """
    free = [index for index, one in enumerate(moments) if one.shown is None]
    drawn = np.random.default_rng((seed, STREAM)).choice(len(free), int(share * len(free)), replace=False)
    strange = {free[index] for index in drawn.tolist()}
    return [_forgotten(one) if index in strange else one for index, one in enumerate(moments)]


def _forgotten(moment: Moment) -> Moment:
    return moment._replace(person=replace(moment.person, events=Events(), taken=None))

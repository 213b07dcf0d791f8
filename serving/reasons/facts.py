"""What is true of an item whoever asks: reasons that sources give by themselves.

To add one: a function here, its line in `FACTS`, its code in `serving/answers.py`, and its words in every file of
`languages/`.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from features.moments import DAY
from serving.answers import Code, Reason
from serving.situation import Situation

Fact: TypeAlias = Callable[[Situation, int], Reason]
"""For a situation and an item row that the source brought."""


def _popular(here: Situation, row: int) -> Reason:
    statistics = here.bundle.statistics
    chosen = int(statistics.popularity[np.array([row])][0])
    return Reason("popular", place=statistics.place_by_popularity(row), count=chosen)


def _trending(here: Situation, row: int) -> Reason:
    return Reason("trending", place=here.bundle.statistics.place_by_recent(row))


def _new(here: Situation, row: int) -> Reason:
    first = int(here.bundle.statistics.first_seen[np.array([row])][0])
    return Reason("new", days=max(0, (here.moment - first) // DAY))


FACTS: Mapping[Code, Fact] = {"popular": _popular, "trending": _trending, "new": _new}
"""By name of the source."""

"""Three slices of the events: A fits the models, B gives the ranker its examples, C calibrates and judges.

By time: 80 / 10 / 10 % of the rows. Where only an order is known: each user's last positive event is C, with the
whole run of one item in which it stands; the tenth of their events before it (rounded up) is B, the rest A; a user
with fewer than three events gives only A.
"""

from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, IntArray
from features.dataset import DatasetConfig
from features.events import EventTable

A, B, C = 0, 1, 2
SHARES = (0.8, 0.9)


class Slices(NamedTuple):
    """The slice of every event row."""

    codes: IntArray
    """int64 [N]: A, B or C."""

    def rows(self, slice_code: int, keep: BoolArray) -> IntArray:
        """Rows of one slice that also pass a mask."""
        return np.flatnonzero((self.codes == slice_code) & keep)


def positive_rows(dataset: DatasetConfig, events: EventTable) -> BoolArray:
    """bool [N]: events of a type that is wanted."""
    wanted = np.array([dataset.types[name].sign == "positive" for name in events.types])
    return np.asarray(wanted[events.type_codes])


def cut(dataset: DatasetConfig, events: EventTable) -> Slices:
    """Assign every event to a slice."""
    return Slices(_by_time(events) if dataset.timed else _by_order(dataset, events))


def cut_moment(events: EventTable, share: float) -> int:
    """The moment before which `share` of the rows lie; rows at that moment come after the cut."""
    moments = np.sort(events.moments)
    return int(moments[min(len(moments) - 1, round(len(moments) * share))])


def _by_time(events: EventTable) -> IntArray:
    first, second = (cut_moment(events, share) for share in SHARES)
    return np.where(events.moments < first, A, np.where(events.moments < second, B, C))


def _by_order(dataset: DatasetConfig, events: EventTable) -> IntArray:
    codes = np.full(len(events), A, dtype=np.int64)
    positive = positive_rows(dataset, events)
    for _, start, stop in events.by_user():
        wanted = np.flatnonzero(positive[start:stop])
        if stop - start < 3 or len(wanted) == 0:
            continue
        last = start + int(wanted[-1])
        while last > start and events.item_codes[last - 1] == events.item_codes[last]:
            last -= 1  # a run of one item stays in one slice
        codes[last:stop] = C
        codes[max(start, last - int(np.ceil((stop - start) * (SHARES[1] - SHARES[0])))) : last] = B
    return codes

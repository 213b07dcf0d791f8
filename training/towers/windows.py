"""Histories cut into windows, as flat arrays of small integers, and batches of them.

A window holds W events of one user. The user tower reads its first W - 1 and query i predicts event i, so
that one pass is W examples; query 0, the profile, predicts the first. N events of all windows, M windows, B
windows of a batch, S positions (its longest window), P and C codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.arrays import FloatArray, IntArray
from features.histories import History
from features.moments import gap_codes
from features.person import Person
from features.schema import Schema

Small = npt.NDArray[np.int32]


class Batch(NamedTuple):
    """Right-padded windows; numpy arrays of the types that the user tower takes."""

    item_rows: IntArray
    """int64 [B, S - 1]: items read."""
    type_codes: IntArray
    """int64 [B, S - 1]"""
    value_codes: IntArray
    """int64 [B, S - 1]"""
    gap_codes: IntArray | None
    """int64 [B, S, S]; None where times are not read."""
    profile_codes: IntArray
    """int64 [B, P]"""
    context_codes: IntArray
    """int64 [B, S, C]"""
    targets: IntArray
    """int64 [B, S]: the item of each query's event."""
    weights: FloatArray
    """float32 [B, S]: what each target counts; 0 for padding and for what is no target."""
    lengths: IntArray
    """int64 [B]: events of each window."""


@dataclass(frozen=True)
class Windows:
    """Windows laid end to end in small integers."""

    item_rows: np.ndarray
    """int32 [N]"""
    type_codes: np.ndarray
    """int16 [N]"""
    value_codes: np.ndarray
    """int16 [N]"""
    moments: IntArray
    """int64 [N]"""
    context_codes: np.ndarray
    """int32 [N, C]"""
    weights: FloatArray
    """float32 [N]: weight of each event as a target."""
    profile_codes: np.ndarray
    """int32 [M, P]"""
    starts: IntArray
    """int64 [M + 1]"""
    max_gap: int
    """Code of the longest gap; 0 where times are not read."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> IntArray:
        """int64 [M]: events of each window."""
        return np.diff(self.starts)

    def batch(self, chosen: Sequence[int] | IntArray) -> Batch:
        """Some windows side by side."""
        lengths = self.lengths[chosen]
        places = np.arange(lengths.max())
        real = places < lengths[:, None]  # [B, S]
        at = np.where(real, self.starts[chosen][:, None] + places, 0)  # [B, S]
        read = real[:, 1:]  # the last event of a window is only predicted
        moments = np.where(real, self.moments[at], 0)
        return Batch(
            item_rows=np.where(read, self.item_rows[at[:, :-1]], 0).astype(np.int64),
            type_codes=np.where(read, self.type_codes[at[:, :-1]], 0).astype(np.int64),
            value_codes=np.where(read, self.value_codes[at[:, :-1]], 0).astype(np.int64),
            gap_codes=self._gaps(moments) if self.max_gap else None,
            profile_codes=self.profile_codes[chosen].astype(np.int64),
            context_codes=(self.context_codes[at] * real[..., None]).astype(np.int64),
            targets=np.where(real, self.item_rows[at], 0).astype(np.int64),
            weights=np.where(real, self.weights[at], 0).astype(np.float32),
            lengths=lengths,
        )

    def _gaps(self, moments: IntArray) -> IntArray:
        """int64 [B, S, S]: from each query to each key; the profile, key 0, has no time."""
        codes = gap_codes(moments - 1, moments[:, :-1], self.max_gap)
        return np.pad(codes, ((0, 0), (0, 0), (1, 0)))


class WindowWriter:
    """Collects windows one by one; `done` lays them end to end."""

    def __init__(self, schema: Schema, max_events: int) -> None:
        self._schema = schema
        self._max_events = max_events
        self._events: list[Small] = []
        self._contexts: list[Small] = []
        self._moments: list[IntArray] = []
        self._weights: list[FloatArray] = []
        self._profiles: list[Small] = []

    def add(self, person: Person, history: History, contexts: IntArray, weights: FloatArray) -> None:
        """Cut a history of W events into windows of at most `max_events` + 1, from the newest backwards.

        contexts int64 [W, C] are the circumstances of each event, float32 [W] `weights` what it counts as a
        target. Windows are three quarters of `max_events` apart; an event is a target in one of them only,
        where the most events lie before it.
        """
        events = np.stack([history.item_rows, history.type_codes, history.value_codes]).astype(np.int32)
        profile = self._schema.encode_profile(person).astype(np.int32)
        for start, fresh, stop in cuts(len(history.item_rows), self._max_events):
            if weights[fresh:stop].any():
                self._events.append(events[:, start:stop])
                self._contexts.append(contexts[start:stop].astype(np.int32))
                self._moments.append(history.moments[start:stop])
                self._weights.append(np.where(np.arange(start, stop) < fresh, 0, weights[start:stop]))
                self._profiles.append(profile)

    def done(self) -> Windows:
        """All windows, in the order in which they were added."""
        schema = self._schema
        lengths = [len(one) for one in self._moments]
        rows, types, values = np.concatenate([np.empty((3, 0), np.int32), *self._events], axis=1)
        n_contexts = sum(size.width for size in schema.context_sizes)
        n_profile = sum(size.width for size in schema.profile_sizes)
        return Windows(
            item_rows=rows,
            type_codes=types.astype(np.int16),
            value_codes=values.astype(np.int16),
            moments=np.concatenate([np.empty(0, np.int64), *self._moments]),
            context_codes=np.concatenate([np.empty((0, n_contexts), np.int32), *self._contexts]),
            weights=np.concatenate([np.empty(0, np.float32), *self._weights]).astype(np.float32),
            profile_codes=np.array(self._profiles, dtype=np.int32).reshape(len(lengths), n_profile),
            starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            max_gap=schema.max_gap_code if schema.reads_gaps else 0,
        )


def cuts(count: int, max_events: int) -> list[tuple[int, int, int]]:
    """Windows (start, first new target, stop) over `count` events; every event is new in exactly one."""
    step = max(1, max_events * 3 // 4)
    found, stop = [], count
    while stop > max_events + 1:
        found.append((stop - max_events - 1, stop - step, stop))
        stop -= step
    return [*found, (0, 0, stop)] if stop else found

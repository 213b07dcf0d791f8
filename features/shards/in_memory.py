"""Preparing with pandas and DuckDB: all events at once in memory, then cut. What other engines must equal."""

from pathlib import Path

import numpy as np

from features.arrays import IntArray
from features.dataset import DatasetConfig
from features.event_loading import load_events
from features.events import EventTable
from features.frames import Frame
from features.shards.layout import Part, part_file
from features.shards.parts import write_events


def write_in_memory(dataset: DatasetConfig, frame: Frame, output: Path, part_events: int) -> list[Part]:
    """The parts of a frame, of about `part_events` events each."""
    events = load_events(dataset, frame)
    first_rows = events.offsets[first_users(np.diff(events.offsets), part_events)].tolist()
    stops = [*first_rows[1:], len(events)]
    return [
        write_events(_rows(events, start, stop), output / part_file(number))
        for number, (start, stop) in enumerate(zip(first_rows, stops, strict=True))
    ]


def first_users(counts: IntArray, part_events: int) -> IntArray:
    """int64 [P]: the user with whom each part begins; counts int64 [U] are events by user, in the order of users."""
    parts = (np.cumsum(counts) - 1) // part_events
    return np.flatnonzero(np.diff(parts, prepend=-1)).astype(np.int64)


def _rows(events: EventTable, start: int, stop: int) -> EventTable:
    places = np.arange(len(events))
    return events.where((places >= start) & (places < stop)).compact()

"""A log of as many events as wanted, written in chunks: a simulated world, lived again by further people.

`tailorbird simulate` makes the first million or so. Every further one is the same behaviour of other people, with ids
of their own. The files go by day, all people in each, as a log comes in: nobody's events stand together.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.dataset import DatasetConfig
from training.simulator import SimulatorSettings, simulate
from training.simulator.recipe import dataset

FIRST = 1_000_000
"""Events of the simulated world."""
END = "2026-06-01T00:00:00Z"


def write_log(folder: Path, events: int, seed: int = 1) -> DatasetConfig:
    """Write about `events` events into `folder`/log, and return the section that reads them; no users, no items."""
    settings = SimulatorSettings.parse({"events": min(events, FIRST), "end": END, "seed": seed})
    simulate(settings, folder)
    first = pq.read_table(folder / "events.parquet").sort_by("timestamp")
    (folder / "log").mkdir(exist_ok=True)
    lives = max(1, round(events / len(first)))
    days = np.linspace(0, len(first), settings.days + 1).astype(int)
    for number, (start, stop) in enumerate(pairwise(days.tolist())):
        rows = pa.concat_tables([_lived_again(first.slice(start, stop - start), life) for life in range(lives)])
        pq.write_table(rows.sort_by("timestamp"), folder / "log" / f"day-{number:03d}.parquet")
    section = dataset(settings)
    section["events"]["path"] = "log/*.parquet"
    return DatasetConfig.parse({name: part for name, part in section.items() if name not in ("users", "items")})


def _lived_again(rows: pa.Table, life: int) -> pa.Table:
    """The rows under the ids of other people."""
    for name in ("event_id", "user_id", "session_id", "request_id"):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, pc.binary_join_element_wise(f"{life:x}", rows[name], "-"))
    return rows

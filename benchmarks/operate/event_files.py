"""A log of events as Parquet files of a million each, drawn a file at a time, and the config that reads it."""

from pathlib import Path

import numpy as np
import polars as pl
import yaml

from features.moments import DAY

NEWEST = 1_780_272_000_000
"""2026-06-01T00:00:00Z, the moment of the newest event."""
DAYS = 60
EVENTS_A_USER = 50
ITEMS = 100_000
POPULARITY_POWER = 0.8
A_FILE = 1_000_000
TYPES = {"view": 0.8, "cart": 0.15, "purchase": 0.05}


def write_events(folder: Path, events: int, seed: int = 0) -> Path:
    """Write `folder`/log and the config beside it; its path. Events stand in no order, each with an id of its own."""
    (folder / "log").mkdir(parents=True)
    draw = np.random.default_rng(seed)
    weights = (1.0 + np.arange(ITEMS)) ** -POPULARITY_POWER
    heaped = np.cumsum(weights / weights.sum())
    for number, start in enumerate(range(0, events, A_FILE)):
        count = min(A_FILE, events - start)
        _file(draw, start, count, events, heaped).write_parquet(folder / "log" / f"{number:04d}.parquet")
    content = {
        "dataset": {
            "order": {"time": "time"},
            "events": {"path": "log/*.parquet", "id": "event_id", "type": "type"},
            "types": {name: {} for name in TYPES},
        },
        "tables": {"engine": "polars", "prepared": "prepared"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _file(draw: np.random.Generator, start: int, count: int, events: int, heaped: np.ndarray) -> pl.DataFrame:
    users = draw.integers(0, max(1, events // EVENTS_A_USER), count)
    items = np.minimum(np.searchsorted(heaped, draw.random(count)), ITEMS - 1)
    numbers = pl.DataFrame(
        {
            "event_id": np.arange(start, start + count),
            "user_id": users,
            "item_id": items,
            "type": draw.choice(len(TYPES), count, p=list(TYPES.values())),
            "time": NEWEST - draw.integers(0, DAYS * DAY, count),
        }
    )
    named = [pl.format(form, pl.col(name)).alias(name) for name, form in _FORMS.items()]
    kinds = pl.col("type").replace_strict(dict(enumerate(TYPES)), return_dtype=pl.String)
    return numbers.with_columns(*named, kinds, pl.from_epoch("time", time_unit="ms").dt.replace_time_zone("UTC"))


_FORMS = {"event_id": "e{}", "user_id": "u{}", "item_id": "i{}"}

"""Three epochs of our two towers, timed: `python -m` this file CONFIG FOLDER [NEWEST].

On all events of a data set, or on the NEWEST of each user alone.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy.operations import epoch_operations, matrix_rate
from features.events import EventTable
from features.tables import load_tables
from training.config import read_training_config
from training.stage import item_codes, schema_of
from training.towers.config import TowerFitConfig
from training.towers.data import tower_data
from training.towers.fit import fit_towers
from training.towers.training_step import narrow_type

EPOCHS = 3


def main(config_path: Path, folder: Path, newest: int | None = None) -> None:
    """Write `folder`/told.json: seconds per epoch, operations, rates, the share that was reached."""
    config, base = read_training_config(config_path)
    tables = load_tables(config.dataset, base)
    if newest is not None:
        tables = replace(tables, events=newest_of_each(tables.events, newest))
    schema = schema_of(config.dataset, tables)
    data = tower_data(schema, tables, item_codes(schema, tables.items), config.pipeline.max_events)
    rate, logit_rate = matrix_rate(torch.float32), matrix_rate(narrow_type())
    with tempfile.TemporaryDirectory() as run:
        fitted = fit_towers(data, config.towers, config.tower_fit, Path(run), epochs=EPOCHS, seed=config.seed)
    ends = [record["seconds"] for record in fitted.history]
    seconds = (ends[-1] - ends[0]) / (EPOCHS - 1)
    operations = epoch_operations(data, config.towers, config.tower_fit)
    told = {
        "epoch_seconds": round(seconds, 2),
        "first_epoch_seconds": round(ends[0], 2),
        "operations": operations.total,
        "share_of_rate": round(operations.seconds(rate, logit_rate) / seconds, 4),
        "rate_float32": rate,
        "rate_bfloat16": matrix_rate(torch.bfloat16),
        "targets": int((data.windows.weights > 0).sum()),
        "loss": _loss(len(schema.items), config.tower_fit),
    }
    (folder / "told.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


def _loss(rows: int, fit: TowerFitConfig) -> str:
    kind = str(narrow_type()).removeprefix("torch.")
    if rows > fit.max_full_softmax:
        return f"sampled softmax, {fit.negatives} negatives shared by a step, logits in {kind}"
    return f"full softmax over {rows} rows, logits in {kind}"


def newest_of_each(events: EventTable, count: int) -> EventTable:
    """The last `count` events of each user."""
    from_the_end = events.offsets[events.user_codes + 1] - np.arange(len(events))
    return events.where(np.asarray(from_the_end <= count))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)

"""Three epochs of our two towers on the whole of a data set, timed: `python -m` this file CONFIG FOLDER."""

import json
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.accuracy.operations import epoch_operations, matrix_rate
from features.tables import load_tables
from training.config import read_training_config
from training.stage import item_codes, schema_of
from training.towers.data import tower_data
from training.towers.fit import fit_towers, narrow_type

EPOCHS = 3


def main(config_path: Path, folder: Path) -> None:
    """Write `folder`/told.json: seconds per epoch, operations, rates, the share that was reached."""
    config, base = read_training_config(config_path)
    tables = load_tables(config.dataset, base)
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
        "loss": f"full softmax over {len(schema.items)} rows, logits in {str(narrow_type()).removeprefix('torch.')}",
    }
    (folder / "told.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

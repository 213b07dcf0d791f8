"""Training reads prepared events in place of the table, and nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import tailorbird
from features.errors import DataError
from training.config import read_training_config
from training.run import checked_tables


def test_prepared_events_are_what_a_training_would_have_read(trained: Any, tmp_path: Path) -> None:
    content = yaml.safe_load(trained.config_path.read_text(encoding="utf-8"))
    tables = {"engine": "polars", "prepared": str(tmp_path / "shards"), "part_events": 2_000}
    path = trained.config_path.with_name("prepared.yaml")
    path.write_text(yaml.safe_dump({**content, "tables": tables}, sort_keys=False), encoding="utf-8")
    config, folder = read_training_config(path)
    with pytest.raises(DataError, match="nothing was prepared there"):
        checked_tables(config, folder, tmp_path / "run")
    done = CliRunner().invoke(tailorbird.main, ["prepare", "--config", str(path)])
    assert done.exit_code == 0, done.output
    first, where = done.output.splitlines()
    assert first.startswith(f"{len(trained.tables.events):,} events of {len(trained.tables.events.users)} users in ")
    assert where == str(tmp_path / "shards")
    assert checked_tables(config, folder, tmp_path / "run").fingerprint == trained.tables.fingerprint
    assert (tmp_path / "run" / "check.md").read_text() == (trained.run / "check.md").read_text()


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_an_engine_changes_nothing_of_what_is_read(trained: Any, tmp_path: Path, engine: str) -> None:
    tables = trained.config.tables.model_copy(update={"engine": engine})
    config = trained.config.model_copy(update={"tables": tables})
    found = checked_tables(config, trained.config_path.parent, tmp_path)
    assert found.fingerprint == trained.tables.fingerprint

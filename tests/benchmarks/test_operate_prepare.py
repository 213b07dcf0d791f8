"""The log that is prepared is as large as asked for, and nobody's events stand together in it; memory is seen."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.operate import crowd
from benchmarks.operate.memory import peak_of, resident
from benchmarks.operate.prepare import config_of, measure, row_of
from benchmarks.operate.results import About
from features.tables import load_tables
from training.config import read_training_config

ABOUT = About(command="c", measured="m", commit="x", hardware="h", load=[0.0])


@pytest.mark.slow
def test_a_log_is_prepared_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "FIRST", 1_000)
    dataset = crowd.write_log(tmp_path, 3_000)
    events = load_tables(dataset, tmp_path).events
    assert len(events) == pytest.approx(3_000, rel=0.1)
    lives = {user.partition("-")[0] for user in events.users}
    assert lives == {"0", "1", "2"}
    assert len({file.name for file in (tmp_path / "log").iterdir()}) == 60
    busiest = np.bincount(events.user_codes).argmax()
    days = np.unique(events.moments[events.user_codes == busiest] // 86_400_000)
    assert len(days) > 3, "a person comes on several days, which stand in several files"
    config = config_of(dataset, tmp_path, "polars", None)
    assert read_training_config(config)[0].dataset == dataset
    found = measure(config, check=False)
    row = row_of("polars", 25_000_000, False, tmp_path / "prepared-polars", found, about=ABOUT)
    assert row.figures["events"] == len(events)
    assert row.met
    assert row.target == "≤ 60 s and ≤ 4 GB on 2 cores"
    assert not row_of(
        "polars", 25_000_000, False, tmp_path / "prepared-polars", {**found, "seconds": 61.0}, about=ABOUT
    ).met
    assert row_of("pandas", 1_000, True, tmp_path / "prepared-polars", found, about=ABOUT).met is None


def test_memory_of_a_child_counts() -> None:
    hold = "import sys, time; held = bytearray(60_000_000); print('ready', flush=True); sys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    command = [sys.executable, "-c", code]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running,
        peak_of(running.pid) as peak,
    ):
        assert running.stdout is not None
        running.stdout.readline()
        assert resident(running.pid) > 60_000_000
        deadline = time.monotonic() + 10
        while peak.bytes <= 60_000_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        running.communicate()
    assert peak.bytes > 60_000_000
    assert resident(running.pid) == 0

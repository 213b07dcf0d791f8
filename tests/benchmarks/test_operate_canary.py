"""The study of canary and shadow: turns become one row a setting, and a target that is missed is said."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks.operate.canary import SETTINGS, WARM, Turn, rows_of
from benchmarks.operate.processes import family_mb
from benchmarks.operate.results import About

ABOUT = About(command="c", measured="m", commit="0", hardware="h", load=[0.0])


def turn(milliseconds: float, **given: Any) -> Turn:
    return Turn(**{"milliseconds": np.full(50, milliseconds, np.float32), "memory_mb": 100.0, "begun_s": 0.0,
                   "left_s": 0.0, **given})  # fmt: skip


def test_turns_become_rows_whose_targets_are_judged() -> None:
    alone, canary, shadow = SETTINGS
    found = {
        alone: [turn(4.0), turn(6.0)],
        canary: [turn(5.0, begun_s=3.0, left_s=1.0), turn(5.0, memory_mb=120.0, begun_s=2.0, left_s=9.0)],
        shadow: [turn(5.2, begun_s=3.0, left_s=1.0, compared=50.0)],
    }
    rows = {one.name: one for one in rows_of("27k", found, ABOUT)}
    assert rows[f"27k, {alone}"].met is None
    assert rows[f"27k, {alone}"].figures["p50, ms"] == 5.0
    assert rows[f"27k, {canary}"].figures["memory of all processes, MB"] == 120
    assert rows[f"27k, {canary}"].met is False, "the slowest rollback counts"
    assert rows[f"27k, {shadow}"].met is True
    assert rows[f"27k, {shadow}"].figures["compared with the shadow's"] == f"{50 / (50 + WARM):.0%}"
    found[shadow] = [turn(5.8, begun_s=3.0, left_s=1.0, compared=50.0)]
    (slow,) = [one for one in rows_of("27k", found, ABOUT) if one.name.endswith(shadow)]
    assert slow.met is False
    assert slow.figures["p50 over live alone"] == pytest.approx(1.16)


def test_a_child_that_a_thread_started_belongs_to_the_family() -> None:
    """A worker's shadow is one."""
    code = (
        "import subprocess, sys, threading\n"
        "hold = [sys.executable, '-S', '-c', 'x = bytearray(60_000_000); print(1, flush=True); input()']\n"
        "thread = threading.Thread(target=lambda: subprocess.run(hold))\n"
        "thread.start(); thread.join()"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert family_mb(parent.pid) > 60
        parent.communicate(b"\n")

"""The benchmark of a GPU runs here too, smaller and on the processor; without a GPU it says so and invents nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from benchmarks.serving import device
from benchmarks.serving.device import NO_DEVICE, RESULTS, main, measured, put
from benchmarks.serving.device_parts import PARTS, Plan

ROOT = Path(__file__).parents[2]
SMALL = ["--device", "cpu", "--items", "2000", "--batches", "1,4", "--repeats", "1"]


def test_every_part_is_measured_on_the_processor(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*SMALL, "--results", str(tmp_path / "device.json")], catch_exceptions=False)
    assert result.exit_code == 0
    rows = json.loads((tmp_path / "device.json").read_text(encoding="utf-8"))["cpu"]
    assert list(rows) == list(PARTS)
    assert rows["embedding"]["items_per_s"] > 0
    for part in ("search_in_torch", "search_in_graph"):
        assert rows[part]["recall"] > 0.999
        assert set(rows[part]["by_users"]) == {"1", "4"}
    for part in ("user_tower", "ranker"):
        assert rows[part]["furthest_from_torch"] < 1e-4
        assert rows[part]["by_users"]["1"]["ms"] > 0
    assert "torch" in rows["ranker"]["about"]["hardware"]


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plan = Plan("cuda", 100, (1,), 1)
    assert [measured(part, plan) for part in PARTS] == [{"not_measured": NO_DEVICE}] * len(PARTS)


def test_what_a_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    row = measured("ranker", Plan("cpu", 100, (1,), 1))
    assert row == {"not_measured": "onnxscript is not installed"}
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    (why,) = measured("search_in_graph", Plan("cuda", 100, (1,), 1)).values()
    assert "has no CUDA provider" in why


def test_what_was_measured_stays(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    for row in ({"not_measured": "none"}, {"seconds": 1.0}, {"not_measured": "none"}):
        put(path, "cuda", "embedding", row)
    assert json.loads(path.read_text(encoding="utf-8")) == {"cuda": {"embedding": {"seconds": 1.0}}}
    put(path, "cuda", "embedding", {"seconds": 0.5})
    assert json.loads(path.read_text(encoding="utf-8"))["cuda"]["embedding"] == {"seconds": 0.5}


def test_the_committed_figures_name_their_hardware_or_say_that_there_are_none() -> None:
    rows: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))["cuda"]
    assert list(rows) == list(PARTS)
    assert all("not_measured" in row or row["about"]["hardware"] for row in rows.values())


def test_it_runs_on_a_bare_machine() -> None:
    """Which may have torch, and neither FAISS nor BentoML nor ONNX Runtime."""
    code = f"import sys, {device.__name__}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"faiss", "bentoml", "onnx", "onnxruntime"} & set(loaded.split())

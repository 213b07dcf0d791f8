"""Virtual environments of the benchmark: one that answers requests and knows no torch, one for the peers.

Each is made once, from its requirements; again when those change.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.measured import BenchmarkError

FOLDER = ROOT / "var" / "bench" / "environments"
SERVING = ROOT / "requirements" / "serving.txt"
PEERS = ROOT / "benchmarks" / "accuracy" / "peers" / "requirements.txt"


def torch_free() -> Path:
    """The Python of an environment made from requirements/serving.txt. Raises BenchmarkError where torch is there."""
    python = environment(FOLDER / "serving", SERVING)
    asked = subprocess.run(
        [str(python), "-c", "import torch"], env=clean_environment(), cwd=ROOT, capture_output=True, check=False
    )
    if asked.returncode == 0 or b"ModuleNotFoundError" not in asked.stderr:
        raise BenchmarkError(
            f"{python} can import torch; lists must be ranked where it cannot. Remove {FOLDER / 'serving'}"
        )
    return python


def of_peers() -> Path:
    """The Python of the peers' environment; torch comes first, by itself, so that pip takes the build for CPUs."""
    return environment(FOLDER / "peers", PEERS, first=("torch",))


def environment(folder: Path, requirements: Path, first: tuple[str, ...] = ()) -> Path:
    """The Python of an environment that holds what `requirements` names."""
    python = folder / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = folder / "requirements.sha256"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    if folder.exists():
        shutil.rmtree(folder)
    print(f"making {folder} from {requirements.relative_to(ROOT)}", flush=True)
    lines = requirements.read_text(encoding="utf-8").splitlines()
    alone = [line for line in lines if line.partition("=")[0] in first]
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([sys.executable, "-m", "venv", str(folder)])
    for step in ([alone] if alone else []) + [["-r", str(requirements)]]:
        _run([*install, *step])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def clean_environment() -> dict[str, str]:
    """The environment variables for a process that imports this checkout and nothing of the caller's."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1", "BENTOML_DO_NOT_TRACK": "True"}


def _run(command: list[str]) -> None:
    result = subprocess.run(
        command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if result.returncode:
        raise BenchmarkError(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr[-2000:]}")

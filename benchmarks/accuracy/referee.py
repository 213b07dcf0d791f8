"""The judge: an independent script that reads lists, holdout and training data, and shares no code with us."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.measured import BenchmarkError

SCRIPT = "TAILORBIRD_REFEREE"
DEFAULT = "../shared/referee/score.py"
K = 10


class Score(NamedTuple):
    """What the referee says."""

    ndcg10: float
    recall10: float
    users: int
    users_with_list: int
    distinct_items: int


def score(lists: Path, holdout: Path, train: Path) -> Score:
    """Figures of ranked lists. Raises BenchmarkError when the script is absent, or says that the lists break a rule."""
    script = Path(os.environ.get(SCRIPT) or ROOT / DEFAULT)
    if not script.exists():
        raise BenchmarkError(f"no referee at {script}; name its score.py in the environment variable {SCRIPT}")
    command = [sys.executable, str(script), str(lists), str(holdout), "--train", str(train), "--k", str(K)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchmarkError(f"the referee refuses {lists}: {result.stdout}{result.stderr}")
    said = json.loads(result.stdout)
    return Score(said[f"ndcg@{K}"], said[f"recall@{K}"], said["users"], said["users_with_list"], said["distinct_items"])

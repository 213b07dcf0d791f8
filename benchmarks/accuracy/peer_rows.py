"""The peers' rows: each in the peers' environment, within the wall time that our own row took, one seed."""

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.accuracy.datasets import ROOT, DataSet
from benchmarks.accuracy.environments import clean_environment, of_peers
from benchmarks.accuracy.measured import run_measured
from benchmarks.accuracy.own import Plan
from benchmarks.accuracy.referee import K, score
from benchmarks.accuracy.results import Measured, Row, commit, row_of
from features.config import read_config
from features.tables import load_tables

SCRIPTS = {
    "rectools-sasrec": "sequence_model.py",
    "rectools-hstu": "sequence_model.py",
    "implicit-als": "item_item.py",
    "implicit-bm25": "item_item.py",
}
NEEDS_GPU = ("rectools-hstu",)
WHERE = (
    "the peer's own environment; the budget is the wall time of our own training, of which loading, choosing and "
    "fitting are the seconds; lists by the peer's own recommend, seen items filtered"
)


class RefusedError(RuntimeError):
    """A row that cannot be measured here and now, and why."""


def peer_row(dataset: DataSet, system: str, plan: Plan, budget: float | None) -> Row:
    """Fit a peer within `budget` seconds and judge its lists."""
    if budget is None:
        raise RefusedError(
            f"{dataset.name}/{system} is given the wall time of {dataset.name}/tailorbird: "
            "measure that row first, or say BUDGET=seconds"
        )
    python = of_peers()
    if system in NEEDS_GPU and not _sees_gpu(python):
        raise RefusedError(f"{dataset.name}/{system} needs a GPU, and torch in {python} sees none")
    place = plan.folder / dataset.name / system
    place.mkdir(parents=True, exist_ok=True)
    record = place / "measure.json"
    record.unlink(missing_ok=True)
    (place / "asked.json").write_text(json.dumps(_asked(dataset, system, plan, budget, place)), encoding="utf-8")
    script = ROOT / "benchmarks" / "accuracy" / "peers" / SCRIPTS[system]
    measure = run_measured(
        [python, script, place / "asked.json"],
        place / "log.txt",
        record,
        cwd=ROOT,
        environment=clean_environment(),
        commit=commit(),
    )
    told: dict[str, Any] = json.loads((place / "told.json").read_text(encoding="utf-8"))
    scored = score(place / "lists.parquet", dataset.holdout, dataset.train)
    measured = Measured(
        seed=plan.seeds[0],
        train_seconds=round(told.pop("train_seconds"), 1),
        peak_mb=measure.peak_mb,
        detail={**told.pop("detail"), "budget_seconds": round(budget), "load": measure.load},
        **scored._asdict(),
    )
    return row_of(
        dataset.name,
        system,
        [measured],
        commit=commit(),
        config=told,
        data=_fingerprint(dataset),
        where=WHERE,
    )


def _asked(dataset: DataSet, system: str, plan: Plan, budget: float, place: Path) -> dict[str, Any]:
    return {
        "system": system,
        "train": str(dataset.train),
        "holdout": str(dataset.holdout),
        "output": str(place),
        "seed": plan.seeds[0],
        "k": K,
        "budget_seconds": budget,
        "shape": dataset.sequence_model,
    }


def _sees_gpu(python: Path) -> bool:
    ask = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([str(python), "-c", ask], env=clean_environment(), check=False).returncode == 0


def _fingerprint(dataset: DataSet) -> str:
    file = read_config(dataset.config)
    return load_tables(file.dataset, file.folder).fingerprint

"""How close the untouched configuration comes to a tuned one, both judged by the same people of slice C.

    tailorbird tune --config configs/beauty.yaml --minutes 120 --run var/tuning -o configs/beauty-tuned.yaml
    python -m benchmarks.accuracy.defaults \\
        --config configs/beauty.yaml --tuned configs/beauty-tuned.yaml --run var/defaults

Each configuration fits its first stage on slice A and its ranker on slice B, as every training does; the last fit, on
everything, is left out, because nothing of slice C could then judge it. Slice C chose the epochs of both, and among the
tuned one's trials the best, so that the ratio rather flatters the tuned one. A run that was broken off goes on.
"""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from features.errors import TailorbirdError
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.config import read_training_config
from training.evaluation.judging import TOWERS, WHOLE, judged, served
from training.evaluation.metrics import gains, paired_interval, per_user
from training.quiet import quiet
from training.run import checked_tables
from training.run_folder import Run, claim_folder
from training.steps import first_stage, judged_moments, ranked_stage, transition_settings

SYSTEMS = (WHOLE, TOWERS)


class Figures(NamedTuple):
    """What one configuration reached."""

    users: list[str]
    ndcg: dict[str, np.ndarray]
    """By system float64 [U]: NDCG@k of each user."""
    k: int
    seconds: float
    """Of this call; what lay in the folder took none."""


@click.command()
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The untouched configuration.")
@click.option("--tuned", required=True, type=click.Path(path_type=Path), help="What `tailorbird tune` wrote.")
@click.option("--run", required=True, type=click.Path(path_type=Path), help="Folder to work in.")
@click.option("--least", default=0.95, show_default=True, help="Exit status 1 when the whole's ratio is below.")
def main(config: Path, tuned: Path, run: Path, least: float) -> None:
    """Compare two configurations of one data set; writes RUN/defaults.json and prints it."""
    try:
        result = compared(figures(config, run / "default"), figures(tuned, run / "tuned"))
    except TailorbirdError as error:
        raise click.ClickException(str(error)) from None
    text = json.dumps({"config": config.name, "tuned": tuned.name, **result}, indent=1)
    (run / "defaults.json").write_text(text, encoding="utf-8")
    click.echo(text)
    if result[WHOLE]["ratio"] < least:
        raise SystemExit(1)


@quiet()
def figures(path: Path, folder: Path) -> Figures:
    """Fit both stages of a configuration and judge them at the moments of slice C."""
    started = time.monotonic()
    config, home = read_training_config(path)
    folder.mkdir(parents=True, exist_ok=True)
    tables = checked_tables(config, home, folder)
    claim_folder(folder, config, tables)
    this = Run.of(config, tables, folder)
    first, _ = first_stage(this, transition_settings(this))
    ranked, _ = ranked_stage(this, first)
    verdicts, moments = judged_moments(this, ranked)
    wanted = [index for index, one in enumerate(moments) if one.wanted(config.dataset)]
    users, codes = np.unique([moments[index].user_id for index in wanted], return_inverse=True)
    k = config.evaluation.k
    lists = judged(served([verdicts[index] for index in wanted], Pipeline(open_bundle(ranked)), k), codes)
    ndcg = {name: per_user(gains(lists[name].ranks(), k), codes) for name in SYSTEMS}
    return Figures(users.tolist(), ndcg, k, time.monotonic() - started)


def compared(default: Figures, tuned: Figures) -> dict[str, Any]:
    """Mean NDCG of both, their ratio, and the paired interval of the tuned minus the untouched one, by system."""
    if (default.users, default.k) != (tuned.users, tuned.k):
        raise click.ClickException("the two configurations judge other people or other lists: only settings may differ")
    return {
        "k": default.k,
        "users": len(default.users),
        "seconds": {"default": round(default.seconds, 1), "tuned": round(tuned.seconds, 1)},
        **{name: _compared(default.ndcg[name], tuned.ndcg[name]) for name in SYSTEMS},
    }


def _compared(default: np.ndarray, tuned: np.ndarray) -> dict[str, Any]:
    return {
        "default": float(default.mean()),
        "tuned": float(tuned.mean()),
        "ratio": float(default.mean() / tuned.mean()) if tuned.any() else 1.0,
        "tuned_minus_default": paired_interval(tuned, default, seed=0)._asdict(),
    }


if __name__ == "__main__":
    main()

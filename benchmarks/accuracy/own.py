"""Our own rows: trained once for each seed, ranked from the bundle where torch is not installed, judged by the referee.

One training serves five systems: the whole pipeline, three of its sources alone, and the Markov chain counted on the
same events.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.datasets import ROOT, DataSet
from benchmarks.accuracy.environments import clean_environment, torch_free
from benchmarks.accuracy.measured import Measure, run_measured
from benchmarks.accuracy.referee import K, score
from benchmarks.accuracy.results import Measured, Row, commit, row_of
from benchmarks.accuracy.trainings import Training, trained

WHOLE = "tailorbird"
SYSTEMS = (WHOLE, "two-towers", "transitions", "markov", "popularity")
UNSEEDED = ("markov", "popularity")
"""They draw nothing at random: the first seed's bundle stands for all."""

FROM_BUNDLE = "lists from the bundle, in an environment without torch"
WHERE = {
    WHOLE: f"`tailorbird train`, then `tailorbird recommend`: {FROM_BUNDLE}; seconds and memory of the whole training",
    "two-towers": f"source `nearest` of the same bundles: {FROM_BUNDLE}; seconds of both fits of the towers, "
    "memory of the whole training",
    "transitions": f"source `transitions` of the same bundles: {FROM_BUNDLE}; seconds of choosing the settings and "
    "of counting, memory of ranking",
    "markov": "counted by training/evaluation/baselines.py and ranked in an environment without torch, with the "
    "bundle's vocabulary and filter; seconds of counting, memory of ranking",
    "popularity": f"source `popular` of the same bundle: {FROM_BUNDLE}; seconds of counting, memory of ranking",
}


class Plan(NamedTuple):
    """How rows are to be measured."""

    folder: Path
    """Run folders and lists; git ignores it."""
    seeds: Sequence[int]
    settings: dict[str, Any]
    """Laid over the data set's configuration, for trials; empty for a row that counts."""
    fresh: bool = False
    """Train again, even when a finished training lies there."""
    budget: float | None = None
    """Seconds for a peer; by default what our own row took."""


class Lists(NamedTuple):
    """Ranked lists of one training, and what making them took."""

    folder: Path
    measure: Measure

    def counting_seconds(self, system: str) -> float:
        seconds: dict[str, float] = json.loads((self.folder / "seconds.json").read_text(encoding="utf-8"))
        return seconds[system]


def own_row(dataset: DataSet, system: str, plan: Plan) -> Row:
    """Train, rank and judge as often as the plan has seeds."""
    seeds = plan.seeds[:1] if system in UNSEEDED else plan.seeds
    trainings = [
        trained(dataset, seed, plan.settings, plan.folder, fresh=plan.fresh and system == WHOLE) for seed in seeds
    ]
    measured = [_measured(dataset, system, training) for training in trainings]
    commits = dict.fromkeys([one for training in trainings for one in training.measure.commits] + [commit()])
    return row_of(
        dataset.name,
        system,
        measured,
        commit=", ".join(commits),
        config={"file": str(dataset.config.relative_to(ROOT)), **_settings(system, trainings[0])},
        data=trainings[0].claim["data"],
        where=WHERE[system],
    )


def _settings(system: str, training: Training) -> dict[str, Any]:
    """Those sections of the configuration that the system reads."""
    read = {
        WHOLE: tuple(training.settings),
        "two-towers": ("pipeline", "towers", "tower_fit"),
        "transitions": ("pipeline", "transition_seconds"),
    }
    return {name: value for name, value in training.settings.items() if name in read.get(system, ())}


def _measured(dataset: DataSet, system: str, training: Training) -> Measured:
    lists = _whole_lists(dataset, training) if system == WHOLE else _source_lists(dataset, training)
    scored = score(lists.folder / f"{system}.parquet", dataset.holdout, dataset.train)
    fits = training.fits()
    detail: dict[str, Any] = {"rank_seconds": lists.measure.seconds, "load": training.measure.load}
    if fits and system in (WHOLE, "two-towers"):
        detail |= {"fits": fits, "attempts": training.measure.attempts}
    chosen = training.run / "transitions.json"
    if system == "transitions" and chosen.exists():
        detail |= json.loads(chosen.read_text(encoding="utf-8"))
    counted = system not in (WHOLE, "two-towers")
    return Measured(
        seed=training.seed,
        train_seconds=round(_train_seconds(system, training, lists), 2),
        peak_mb=lists.measure.peak_mb if counted else training.measure.peak_mb,
        detail=detail,
        **scored._asdict(),
    )


def _train_seconds(system: str, training: Training, lists: Lists) -> float:
    if system == "two-towers":
        fits = [fit["seconds"] for fit in training.fits()]
        return sum(fits) if len(fits) == 2 else training.measure.seconds
    if system == WHOLE:
        return training.measure.seconds
    choosing = _choosing_seconds(training) if system == "transitions" else 0.0
    return lists.counting_seconds(system) + choosing


def _choosing_seconds(training: Training) -> float:
    """From the start of a training to the settings of the transitions, by the times of its files."""
    chosen, begun = training.run / "transitions.json", training.run / "run.json"
    if not chosen.exists():
        return 0.0
    return max(0.0, chosen.stat().st_mtime - begun.stat().st_mtime)


def _whole_lists(dataset: DataSet, training: Training) -> Lists:
    target = training.folder / "lists"
    target.mkdir(exist_ok=True)
    command: list[str | Path] = [torch_free(), ROOT / "tailorbird.py", "recommend"]
    command += ["--bundle", training.bundle, "--config", training.config, "--users", dataset.holdout, "--k", str(K)]
    command += ["-o", target / f"{WHOLE}.parquet"]
    return _ranked(command, target, "whole", training)


def _source_lists(dataset: DataSet, training: Training) -> Lists:
    target = training.folder / "lists"
    command: list[str | Path] = [torch_free(), "-m", "benchmarks.accuracy.ranked_lists"]
    command += [training.bundle, training.config, dataset.holdout, target]
    return _ranked(command, target, "sources", training)


def _ranked(command: list[str | Path], target: Path, name: str, training: Training) -> Lists:
    """Lists of a bundle are ranked again only when the bundle or our code is another."""
    target.mkdir(parents=True, exist_ok=True)
    record = target / f"{name}.json"
    made_from = target / f"{name}.from"
    now = f"{commit()}\n{(training.bundle / 'manifest.json').read_text(encoding='utf-8')}"
    before = Measure.read(record)
    if (
        before.done
        and made_from.exists()
        and made_from.read_text(encoding="utf-8") == now
        and "changes" not in commit()
    ):
        return Lists(target, before)
    record.unlink(missing_ok=True)
    measure = run_measured(
        command, target / f"{name}.log", record, cwd=ROOT, environment=clean_environment(), commit=commit()
    )
    made_from.write_text(now, encoding="utf-8")
    return Lists(target, measure)

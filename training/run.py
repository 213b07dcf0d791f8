"""`tailorbird train`: from a configuration to one sealed bundle, in a run folder that holds everything about it.

The order: check the tables; fit a first stage on slice A, a few items held back; make the ranker's examples on B and
fit it; calibrate and judge on C; then refit towers, transitions and statistics on all events for as many epochs as the
first stage chose. The ranker and its calibration stay. A step whose result lies in the run folder is not done again.
"""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

from features import check_report
from features.checks import check_tables
from features.consenting import trainable
from features.events import Tables
from features.frames import Frames
from features.shards.preparing import prepared_folder, read_prepared
from features.tables import load_tables
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from serving.retrieval.transitions import TransitionSettings
from training.config import TrainingConfig
from training.evaluation.groups import groups_of
from training.evaluation.judging import Verdict, served
from training.evaluation.report import Findings, shift_of, write_report
from training.moments import Moment
from training.quiet import quiet
from training.run_folder import Run, claim_folder, note_consent
from training.slices import A, B, C
from training.steps import (
    calibrated_stage,
    final_bundle,
    first_stage,
    judged_moments,
    ranked_stage,
    transition_settings,
)
from training.towers.fit import fit_part
from training.towers.processes import joined

SHIFT_MOMENTS = 500


class FirstFit(NamedTuple):
    """A training before its refit: what slices A and B taught, and what it is worth on slice C."""

    run: Run
    settings: TransitionSettings
    stage: Path
    """A calibrated bundle that knows slice A, with the ranker of slice B."""
    epochs: int
    reached: float
    """Share of the wanted items of slice B that some source brought."""
    verdicts: list[Verdict]
    """Every system's list at each of `moments`."""
    moments: list[Moment]
    """Of slice C; the calibration was fitted on every other one, from the first."""


def train(config: TrainingConfig, folder: Path, run: Path, frames: Frames | None = None) -> Path:
    """Check and read what `config.dataset` names, train on it, and return the path of the bundle.

    Started by `torchrun`, the first process does all this, and the others fit towers with it. Raises DataError when a
    check finds an error; nothing is repaired.
    """
    with joined(fit_part):
        return train_on(config, checked_tables(config, folder, run, frames), run)


def checked_tables(config: TrainingConfig, folder: Path, run: Path, frames: Frames | None = None) -> Tables:
    """The tables that `config.dataset` names, once every rule holds; writes `run`/check.md and .json, and consent.json.

    They hold nobody who does not allow training. Raises DataError, which tells the first rule that an error breaks, or
    that nobody's consent is known.
    """
    tables = _prepared_tables(config, folder, run) if frames is None and config.tables.prepared else None
    if tables is None:
        check = check_tables(config.dataset, folder, frames, config.tables.engine)
        check_report.write(check, run)
        check_report.refuse_errors(check, run)
        tables = load_tables(config.dataset, folder, frames, config.tables.engine)
    part = trainable(config.dataset, tables)
    note_consent(run, tables, part)
    return part


def _prepared_tables(config: TrainingConfig, folder: Path, run: Path) -> Tables:
    """The tables with the events that `tailorbird prepare` checked and wrote; its report is this run's."""
    run.mkdir(parents=True, exist_ok=True)
    events = read_prepared(config.dataset, folder, config.tables)
    for name in ("check.md", "check.json"):
        shutil.copy(prepared_folder(folder, config.tables) / name, run / name)
    return load_tables(config.dataset, folder, engine=config.tables.engine, events=events)


@quiet()
def train_on(config: TrainingConfig, tables: Tables, run: Path) -> Path:
    """Train on tables that were read; returns the path of the bundle, `run`/bundle."""
    started = time.time()
    tables = trainable(config.dataset, tables)
    run.mkdir(parents=True, exist_ok=True)
    bundle = run / "bundle"
    claim_folder(run, config, tables)
    if bundle.exists() and (run / "report.md").exists():
        return bundle
    first = _first_fit(config, tables, run)
    calibrated = first.stage
    if not bundle.exists():
        final_bundle(first.run, first.settings, first.epochs, calibrated, bundle, started)
    findings = Findings(
        config=config,
        verdicts=first.verdicts,
        moments=first.moments,
        newcomers=first.run.newcomers,
        attributes=groups_of(config.dataset, first.moments),
        bundle=open_bundle(calibrated),
        reached=first.reached,
        epochs=first.epochs,
        slices={name: int((first.run.slices.codes == code).sum()) for name, code in (("A", A), ("B", B), ("C", C))},
        shift=shift_of(calibrated, bundle, first.moments[:: max(1, len(first.moments) // SHIFT_MOMENTS)]),
        seconds=time.time() - started,
    )
    write_report(findings, run)
    return bundle


@quiet()
def first_fit(config: TrainingConfig, tables: Tables, run: Path) -> FirstFit:
    """All of a training but the refit; `train_on` with the same folder goes on from there."""
    tables = trainable(config.dataset, tables)
    run.mkdir(parents=True, exist_ok=True)
    claim_folder(run, config, tables)
    return _first_fit(config, tables, run)


def _first_fit(config: TrainingConfig, tables: Tables, run: Path) -> FirstFit:
    this = Run.of(config, tables, run)
    settings = transition_settings(this)
    first, stage = first_stage(this, settings)
    ranked, reached = ranked_stage(this, first)
    verdicts, moments = judged_moments(this, ranked)
    calibrated = calibrated_stage(this, ranked, verdicts, moments)
    judged_lists = served(verdicts, Pipeline(open_bundle(calibrated)), config.evaluation.k)
    return FirstFit(this, settings, calibrated, stage.epochs, reached, judged_lists, moments)

"""`tailorbird train`: from a configuration to one sealed bundle, in a run folder that holds everything about it.

The order: check the tables; fit a first stage on slice A, a few items held back; make the ranker's examples on B and
fit it; calibrate and judge on C; then refit towers, transitions and statistics on all events for as many epochs as the
first stage chose. The ranker and its calibration stay. A step whose result lies in the run folder is not done again.
"""

import json
import platform
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import yaml

from features import check_report
from features.arrays import BoolArray
from features.checks import check_tables
from features.encoders import as_id, is_missing
from features.errors import ConfigError, DataError
from features.events import EventTable, Tables
from features.frames import Frames
from features.moments import YEAR, to_moment
from features.people import People
from features.schema import Schema
from features.tables import load_tables
from features.vocabulary import RESERVED
from serving.bundle import Bundle, assemble, fresh_staging, open_bundle, seal_bundle
from serving.golden import GOLDEN, record_golden
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import feature_names, fusion_weights
from serving.retrieval.transitions import TransitionSettings
from training.config import TrainingConfig
from training.evaluation.baselines import markov_chain
from training.evaluation.judging import Verdict, judge, labelled, served
from training.evaluation.report import Findings, shift_of, write_report
from training.export.golden import simulated_people
from training.export.modules import export_ranker
from training.held_back import held_back_items, never_taken
from training.moments import Moment, moments_among, wanted_turns
from training.quiet import quiet
from training.ranker.calibrating import calibrate
from training.ranker.examples import Examples, make_examples
from training.ranker.fit import fit_ranker
from training.slices import A, B, C, Slices, cut
from training.stage import FittedStage, fit_stage, part_of, schema_of
from training.statistics import item_rows
from training.towers.data import ValidationPerson
from training.transitions.search import choose_settings

GOLDEN_K = 20
SHIFT_MOMENTS = 500
MIN_VALIDATION, MAX_VALIDATION = 256, 5_000
"""People on whom an epoch of the towers is judged: about one per user, so that judging never outweighs fitting."""


@dataclass(frozen=True)
class Run:
    """One training: what it was asked, what it read, and where it writes."""

    config: TrainingConfig
    tables: Tables
    people: People
    slices: Slices
    held_back: BoolArray
    """bool over `events.items`: items of which the first fit is told nothing."""
    folder: Path

    @classmethod
    def of(cls, config: TrainingConfig, tables: Tables, folder: Path) -> Self:
        """Cut the events, and choose what is held back."""
        people = People(config.dataset, tables)
        held_back = held_back_items(config.dataset, tables, people.events, config.newcomers, config.seed)
        return cls(config, tables, people, cut(config.dataset, people.events), held_back, folder)

    @property
    def told(self) -> BoolArray:
        """bool over `events`: what the first fit is told, slice A without the items held back."""
        return np.asarray((self.slices.codes == A) & ~self.held_back[self.events.item_codes])

    @cached_property
    def newcomers(self) -> frozenset[str]:
        """Ids of the items held back."""
        return frozenset(self.events.items[self.held_back].tolist())

    @property
    def events(self) -> EventTable:
        """All events but exposures; the slices are theirs."""
        return self.people.events


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

    Raises DataError when a check finds an error; nothing is repaired.
    """
    return train_on(config, checked_tables(config, folder, run, frames), run)


def checked_tables(config: TrainingConfig, folder: Path, run: Path, frames: Frames | None = None) -> Tables:
    """The tables that `config.dataset` names, once every rule holds; writes `run`/check.md and check.json.

    Raises DataError, which tells the first rule that an error breaks.
    """
    check = check_tables(config.dataset, folder, frames)
    check_report.write(check, run)
    if check.errors:
        first = check.errors[0]
        raise DataError(
            f"{first.rule}: {first.message}" + (f" (and {more} more)" if (more := len(check.errors) - 1) else ""),
            field=f"{first.table}.{first.column}" if first.column else first.table,
            hint=f"See {run / 'check.md'}; nothing was repaired or trained.",
        )
    return load_tables(config.dataset, folder, frames)


@quiet()
def train_on(config: TrainingConfig, tables: Tables, run: Path) -> Path:
    """Train on tables that were read; returns the path of the bundle, `run`/bundle."""
    started = time.time()
    run.mkdir(parents=True, exist_ok=True)
    bundle = run / "bundle"
    claim_folder(run, config, tables)
    if bundle.exists() and (run / "report.md").exists():
        return bundle
    first = _first_fit(config, tables, run)
    calibrated = first.stage
    if not bundle.exists():
        _final(first.run, first.settings, first.epochs, calibrated, bundle, started)
    findings = Findings(
        config=config,
        verdicts=first.verdicts,
        moments=first.moments,
        newcomers=first.run.newcomers,
        attributes=_protected(first.run, first.moments),
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
    run.mkdir(parents=True, exist_ok=True)
    claim_folder(run, config, tables)
    return _first_fit(config, tables, run)


def _first_fit(config: TrainingConfig, tables: Tables, run: Path) -> FirstFit:
    this = Run.of(config, tables, run)
    settings = transition_settings(this)
    first, stage = first_stage(this, settings)
    ranked, reached = ranked_stage(this, first)
    verdicts, moments = judged_moments(this, ranked)
    calibrated = _calibrated(this, ranked, verdicts, moments)
    judged_lists = served(verdicts, Pipeline(open_bundle(calibrated)))
    return FirstFit(this, settings, calibrated, stage.epochs, reached, judged_lists, moments)


def claim_folder(run: Path, config: TrainingConfig, tables: Tables) -> None:
    """Write what this run is of; raises ConfigError when the folder holds another training."""
    content = config.model_dump(mode="json", by_alias=True, exclude={"serving", "workers"})
    newest = int(tables.events.moments.max())
    claim = {"config": content, "data": tables.fingerprint, "events": len(tables.events), "newest": newest}
    path = run / "run.json"
    if not path.exists():
        path.write_text(json.dumps(claim, indent=1), encoding="utf-8")
        (run / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    other = [name for name in claim if json.loads(json.dumps(claim[name])) != before.get(name)]
    if other:
        raise ConfigError(
            f"{run} holds a training with another {' and '.join(other)}; going on would mix the two",
            field="--run",
            hint="Name a new folder.",
        )


def transition_settings(this: Run) -> TransitionSettings:
    """The settings that predict each user's first turn of slice B best from their turns of slice A."""
    path = this.folder / "transitions.json"
    if path.exists():
        return TransitionSettings.parse(json.loads(path.read_text(encoding="utf-8")))
    dataset = this.config.dataset
    schema = schema_of(dataset, told(this))
    turns = wanted_turns(dataset, this.events)
    known = this.events.where(turns & this.told)
    later = this.events.where(turns & (this.slices.codes == B) & ~this.held_back[this.events.item_codes])
    targets = np.full(len(known.users), -1, dtype=np.int64)
    rows = item_rows(schema, later)[::-1]
    targets[later.user_codes[::-1]] = np.where(rows >= RESERVED, rows, -1)
    comes_again = any(kind.repeat != "never" for kind in dataset.types.values() if kind.sign != "exposure")
    settings = choose_settings(
        item_rows(schema, known),
        known.offsets,
        len(schema.items),
        targets,
        not comes_again,
        this.config.transition_seconds,
        max_history=this.config.pipeline.max_events,
        seed=this.config.seed,
    )
    path.write_text(settings.model_dump_json(indent=1), encoding="utf-8")
    return settings


def told(this: Run) -> Tables:
    """What the first fit may know."""
    kept = this.events.event_ids[this.told]
    keep = np.isin(this.tables.events.event_ids.astype(str), kept.astype(str))
    return part_of(this.config.dataset, this.tables, np.asarray(keep))


def first_stage(this: Run, settings: TransitionSettings) -> tuple[Path, FittedStage]:
    """Everything but the ranker, fitted on slice A; slice C chooses the number of epochs."""
    target = this.folder / "stages" / "first"
    part = told(this)
    schema = schema_of(this.config.dataset, part)
    if target.exists():
        return target, FittedStage(schema, int((target / "epochs.json").read_text(encoding="utf-8")))
    staging = fresh_staging(target)
    checkpoints = this.folder / "checkpoints" / "first"
    validation = validation_people(this, schema)
    stage = fit_stage(this.config, part, schema, settings, staging, checkpoints, validation=validation)
    (staging / "epochs.json").write_text(str(stage.epochs), encoding="utf-8")
    return seal_bundle(staging, target, _provenance(this, schema)), stage


def validation_people(this: Run, schema: Schema) -> list[ValidationPerson]:
    """People just before something wanted of slice C, for early stopping."""
    chosen = moments_of(this, C, min(MAX_VALIDATION, max(MIN_VALIDATION, len(this.events.users))))
    return [
        ValidationPerson(one.person, one.moment, schema.items.row(one.item_id))
        for one in chosen
        if one.wanted(this.config.dataset) and one.item_id not in this.newcomers
    ]


def moments_of(this: Run, slice_code: int, limit: int) -> list[Moment]:
    """At most `limit` moments of a slice, drawn evenly."""
    return moments_among(this.people, this.slices.codes == slice_code, limit, this.config.seed)


def ranked_stage(this: Run, first: Path) -> tuple[Path, float]:
    """The first stage with a ranker fitted on slice B, and the share of positives that the sources reached."""
    target = this.folder / "stages" / "ranked"
    if target.exists():
        return target, float((target / "reached.json").read_text(encoding="utf-8"))
    bundle = open_bundle(first)
    moments = moments_of(this, B, this.config.ranker_fit.max_examples)
    left_out = never_taken(bundle.schema, this.events)
    examples = make_examples(first, moments, workers=this.config.workers, label="examples", left_out=left_out)
    if len(examples) < 2:
        raise DataError(
            f"only {len(examples)} of {examples.asked} events of slice B were reached by a candidate source; "
            "a ranker cannot be fitted",
            hint="More events per user are needed: at least three, for a few users.",
        )
    heads = len(bundle.schema.heads)
    vectors = np.asarray(bundle.catalogue.vectors)
    ranker = fit_ranker(
        examples,
        vectors,
        heads,
        this.config.ranker,
        this.config.ranker_fit,
        prior=fusion_weights(bundle.schema),
        seed=this.config.seed,
    )
    staging = _copy(first, target)
    export_ranker(ranker, vectors, examples.features[: len(examples)].reshape(-1, examples.features.shape[2])[:5000],
                  staging / "ranker.onnx")  # fmt: skip
    reached = _reached(examples, moments, bundle.schema)
    (staging / "reached.json").write_text(str(reached), encoding="utf-8")
    return seal_bundle(staging, target, _provenance(this, bundle.schema)), reached


def _reached(examples: Examples, moments: list[Moment], schema: Schema) -> float:
    """Share of the wanted items that some source brought."""
    positive = np.array([schema.dataset.types[head].sign == "positive" for head in schema.heads])
    brought = int((examples.heads[:, positive].sum(axis=1) > 0).sum())
    return brought / max(1, sum(one.wanted(schema.dataset) for one in moments))


def judged_moments(this: Run, ranked: Path) -> tuple[list[Verdict], list[Moment]]:
    """Every system on slice C, of which the fits knew only which epoch was best."""
    moments = moments_of(this, C, this.config.evaluation.max_moments)
    part = told(this)
    schema = schema_of(this.config.dataset, part)
    turns = part.events.where(wanted_turns(this.config.dataset, part.events))
    markov = markov_chain(item_rows(schema, turns), turns.offsets, len(schema.items))
    verdicts = judge(ranked, moments, markov, workers=this.config.workers, label="judging")
    return verdicts, moments


def _calibrated(this: Run, ranked: Path, verdicts: list[Verdict], moments: list[Moment]) -> Path:
    """The ranked stage with the calibration of every other moment of slice C; the rest judges it."""
    target = this.folder / "stages" / "calibrated"
    if target.exists():
        return target
    schema = open_bundle(ranked).schema
    logits, labels = labelled(verdicts[::2], moments[::2], schema.heads)
    staging = _copy(ranked, target)
    (staging / "calibration.json").write_text(calibrate(logits, labels).model_dump_json(), encoding="utf-8")
    return seal_bundle(staging, target, _provenance(this, schema))


def _final(
    this: Run, settings: TransitionSettings, epochs: int, calibrated: Path, target: Path, started: float
) -> None:
    """Refit on every event, add the ranker and its calibration, record golden answers, seal."""
    part = part_of(this.config.dataset, this.tables, np.ones(len(this.tables.events), dtype=bool))
    schema = schema_of(this.config.dataset, part)
    staging = fresh_staging(target)
    fit_stage(this.config, part, schema, settings, staging, this.folder / "checkpoints" / "final", epochs=epochs)
    for name in ("ranker.onnx", "calibration.json"):
        shutil.copy(calibrated / name, staging / name)
    provenance = _provenance(this, schema) | {"seconds": round(time.time() - started, 1)}
    bundle: Bundle = assemble(staging, {})
    people = simulated_people(bundle, this.config.seed)
    record_golden(Pipeline(bundle), people, GOLDEN_K, staging / GOLDEN)
    seal_bundle(staging, target, provenance)


def _copy(source: Path, target: Path) -> Path:
    staging = fresh_staging(target)
    shutil.copytree(source, staging, dirs_exist_ok=True)
    (staging / "manifest.json").unlink()
    return staging


def _protected(this: Run, moments: list[Moment]) -> dict[str, list[str]]:
    """Values of the protected attributes by moment."""
    columns = {name: one for name, one in this.config.dataset.users.columns.items() if one.protected}
    return {
        name: [_group(one.person.attribute(name, one.moment), column.role, one.moment) for one in moments]
        for name, column in columns.items()
    }


def _group(value: Any, role: str, moment: int) -> str:
    """The group of a protected attribute's value; ages by decade."""
    if is_missing(value):
        return "unknown"
    if role == "birth_date":
        decade = int((moment - to_moment(value)) / YEAR // 10 * 10)
        return f"{decade}-{decade + 9} years"
    return as_id(value)


def _provenance(this: Run, schema: Schema) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": this.config.model_dump(mode="json", by_alias=True),
        "data": this.tables.fingerprint,
        "ranker_inputs": feature_names(schema),
        "newest_event": int(this.events.moments.max()),
        "newest_item_change": 0,
        "python": platform.python_version(),
    }

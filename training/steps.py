"""The steps of a training, each of which leaves its result in the run folder and is not done again.

Transition settings, first stage, ranked stage, calibrated stage, and the final bundle, in this order.
"""

import json
import shutil
import time
from pathlib import Path

import numpy as np

from features.errors import DataError
from features.events import Tables
from features.schema import Schema
from features.vocabulary import RESERVED
from serving.bundle import Bundle, assemble, open_bundle, seal_bundle
from serving.golden import GOLDEN, record_golden
from serving.manifest import fresh_staging
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import fusion_weights
from serving.retrieval.transitions import TransitionSettings
from training.evaluation.baselines import markov_chain
from training.evaluation.judging import Verdict, judge, labelled
from training.export.golden import simulated_people
from training.export.modules import export_ranker
from training.held_back import never_taken
from training.moments import Moment, moments_among, wanted_turns
from training.ranker.calibrating import calibrate
from training.ranker.examples import Examples, make_examples
from training.ranker.fit import fit_ranker, learned_from, position_tower
from training.ranker.shown import ShownLists
from training.run_folder import Run, provenance, staged_copy
from training.slices import B, C
from training.stage import FittedStage, fit_stage, part_of, schema_of
from training.statistics import item_rows
from training.towers.data import ValidationPerson
from training.towers.start import Start
from training.transitions.search import choose_settings

GOLDEN_K = 20
MIN_VALIDATION, MAX_VALIDATION = 256, 5_000
"""People on whom an epoch of the towers is judged: about one per user, so that judging never outweighs fitting."""


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
    return seal_bundle(staging, target, provenance(this, schema)), stage


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


def ranker_moments(this: Run) -> list[Moment]:
    """What the ranker learns from: lists of slice B that were shown, and what people turned to without one.

    By `ranker_fit.negatives`, at most `ranker_fit.max_examples`, drawn evenly.
    """
    fit, inside = this.config.ranker_fit, this.slices.codes == B
    if fit.negatives == "candidates" or not this.config.dataset.timed:
        return moments_of(this, B, fit.max_examples)
    shown = ShownLists(this.config.dataset, this.tables, this.people, inside, fit.acted_within_hours)
    found = shown.moments(fit.max_examples, this.config.seed)
    if fit.negatives == "auto":
        found += moments_among(this.people, inside & ~shown.led_to, fit.max_examples, this.config.seed)
    if len(found) > fit.max_examples:
        kept = np.random.default_rng(this.config.seed).choice(len(found), fit.max_examples, replace=False)
        found = [found[index] for index in np.sort(kept).tolist()]
    return found


def ranked_stage(this: Run, first: Path) -> tuple[Path, float]:
    """The first stage with a ranker fitted on slice B, and the share of positives that the sources reached."""
    target = this.folder / "stages" / "ranked"
    if target.exists():
        return target, float((target / "reached.json").read_text(encoding="utf-8"))
    bundle = open_bundle(first)
    moments = ranker_moments(this)
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
    position = position_tower(examples, this.config.ranker_fit, heads)
    ranker = fit_ranker(
        examples,
        vectors,
        heads,
        this.config.ranker,
        this.config.ranker_fit,
        prior=fusion_weights(bundle.schema),
        seed=this.config.seed,
        position=position,
    )
    learned = learned_from(examples, position)
    (this.folder / "ranker.json").write_text(json.dumps(learned, indent=1), encoding="utf-8")
    staging = staged_copy(first, target)
    export_ranker(ranker, vectors, examples.features[: len(examples)].reshape(-1, examples.features.shape[2])[:5000],
                  staging / "ranker.onnx")  # fmt: skip
    reached = _reached(examples, moments, bundle.schema)
    (staging / "reached.json").write_text(str(reached), encoding="utf-8")
    return seal_bundle(staging, target, provenance(this, bundle.schema)), reached


def _reached(examples: Examples, moments: list[Moment], schema: Schema) -> float:
    """Share of the wanted items that some source brought."""
    positive = np.array([schema.dataset.types[head].sign == "positive" for head in schema.heads])
    brought = int(((examples.heads[:, positive].sum(axis=1) > 0) & examples.brought).sum())
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


def calibrated_stage(this: Run, ranked: Path, verdicts: list[Verdict], moments: list[Moment]) -> Path:
    """The ranked stage with the calibration of every other moment of slice C; the rest judges it."""
    target = this.folder / "stages" / "calibrated"
    if target.exists():
        return target
    schema = open_bundle(ranked).schema
    logits, labels = labelled(verdicts[::2], moments[::2], schema.heads)
    staging = staged_copy(ranked, target)
    (staging / "calibration.json").write_text(calibrate(logits, labels).model_dump_json(), encoding="utf-8")
    return seal_bundle(staging, target, provenance(this, schema))


def final_bundle(
    this: Run,
    settings: TransitionSettings,
    epochs: int,
    calibrated: Path,
    target: Path,
    started: float,
    grown: tuple[Schema, Start] | None = None,
) -> None:
    """Refit on every event, add the ranker and its calibration, record golden answers, seal.

    From nothing, or from the weights of a bundle whose schema grew into the one given.
    """
    part = part_of(this.config.dataset, this.tables, np.ones(len(this.tables.events), dtype=bool))
    schema, start = grown or (schema_of(this.config.dataset, part), None)
    staging = fresh_staging(target)
    checkpoints = this.folder / "checkpoints" / "final"
    fit_stage(this.config, part, schema, settings, staging, checkpoints, epochs=epochs, start=start)
    for name in ("ranker.onnx", "calibration.json"):
        shutil.copy(calibrated / name, staging / name)
    told_of = provenance(this, schema) | {"seconds": round(time.time() - started, 1)}
    bundle: Bundle = assemble(staging, {})
    people = simulated_people(bundle, this.config.seed)
    record_golden(Pipeline(bundle), people, GOLDEN_K, staging / GOLDEN)
    seal_bundle(staging, target, told_of)

"""What comes of a view: cart and purchase given a view, on the later part of a log, against simpler models.

A question is a run of events with one item that begins with a view, asked just before that view; the answer is
whether a cart (a purchase) stands in the same run. The data keep one time per person, item and type, seemingly the
last, so that a cart may lie before "its" view. A run that begins with the cart is therefore no question: a pair's own
later view would be known by its cart alone. No input is from the view or later; base rates are those of this rule.

The ranker's heads are marginal: P(cart) that a cart comes of showing the item, with or without a view. What is asked
is P(cart and view) / P(view). A run with a cart often holds no view, whose only recorded time lies elsewhere, so that
P(cart) / P(view), cut at 1, orders the answers but is an upper bound of them. A straight line in log-odds, fitted on
the other half of slice C, makes it a probability; every other system gets such a line too, and none sees an outcome.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np

from benchmarks.studies.conditional import (
    Regression,
    auc,
    auc_interval,
    fit_regression,
    log_odds,
)
from benchmarks.studies.study import Asked, Found, Part, Row, Table, read_tables, study
from features.arrays import FloatArray, IntArray
from features.errors import ConfigError
from features.people import People
from features.vocabulary import RESERVED
from serving.bundle import Bundle, open_bundle
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import ranker_rows
from serving.retrieval.candidates import given, retrieve
from serving.situation import situation
from training.config import TrainingConfig
from training.evaluation.judging import labelled
from training.evaluation.metrics import calibration_table
from training.moments import Moment, first_of_runs, moments_among
from training.ranker.calibrating import platt_line
from training.ranker.examples import in_parallel
from training.run import FirstFit, first_fit
from training.run_folder import Run
from training.slices import A, B
from training.statistics import item_rows

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PRIOR = 10.0
"""Views' worth of the overall rate with which an item's own rate is shrunk."""
SERVED = "tailorbird, P({head}) / P({condition}) as served"
LINED = "tailorbird, with a line"
LOGISTIC = "logistic regression, with a line"
POPULAR = "popularity: the item's {head}s, with a line"
RATE = "popularity: {head}s per {condition} of the item, with a line"
ABOUT = (
    "Questions are runs of events with one item that begin with a {condition} (see the head of the study's file); the "
    "answer is what else stands in the run. Models were fitted on slice A by time, the ranker and the logistic "
    "regression (on the very inputs of the ranker, standardised; {fitted:,} questions) on slice B. Of slice C, which "
    "is not sampled, every other moment fitted the ranker's calibration and each row's straight line in log-odds; the "
    "rest, {questions:,} questions of {users:,} people, judges. Left out are {unknown:.1%} of these whose item the "
    "models never saw; of the others a candidate source had brought {brought:.1%}. AUC with 95 % intervals, and paired "
    "ones against the logistic regression, by bootstrap over people. Worst bin: observed over expected in the worst "
    "of ten bins of equal expected mass. P({condition} and x) is unknown where the heads are marginal: of the runs of "
    "slice B that hold {shares}. So the ratio as served is an upper bound. The second table judges each head by itself "
    "over all candidates of the same half. Curves: [reliability.png](reliability.png)."
)


class Answered(NamedTuple):
    """A question with what the pipeline knows of its item."""

    features: FloatArray
    """float32 [F]: the ranker's inputs."""
    logits: FloatArray
    """float32 [H], before calibration."""
    row: int
    brought: bool
    """Whether a source had proposed the item."""


class Questions(NamedTuple):
    """Questions on known items. Q questions, F features, H heads."""

    features: np.ndarray
    """float64 [Q, F]"""
    logits: FloatArray
    """float32 [Q, H]"""
    rows: IntArray
    """int64 [Q]"""
    labels: np.ndarray
    """bool [Q, H]"""
    users: IntArray
    """int64 [Q]"""
    unknown: float
    """Share of all questions whose item the models never saw; these are left out."""
    brought: float


def multi_task(asked: Asked) -> Found:
    """Judge the conditional probabilities of all wanted types but the first, given the first."""
    config = asked.config
    condition, *heads = [name for name, kind in config.dataset.types.items() if kind.sign == "positive"]
    if not heads:
        raise ConfigError("one event type alone leaves nothing to come of it", field="dataset.types")
    whole = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"max_moments": 10**9})})
    tables = read_tables(asked._replace(config=whole))
    fit = first_fit(whole, tables, asked.run)
    slice_b = moments_among(fit.run.people, fit.run.slices.codes == B)
    parts = [
        answered(fit.stage, beginning_with(condition, fit.run.people, part), whole)
        for part in (slice_b, fit.moments[::2], fit.moments[1::2])
    ]
    rows: list[Row] = []
    reliability: dict[str, dict[str, object]] = {}
    for head in heads:
        labels = [part.labels[:, _at(fit, head)] for part in parts]
        if not all(0 < one.sum() < len(one) for one in labels):
            raise ConfigError(f"a slice holds no {head!r} in a run that begins with {condition!r}; give more data")
        found = probabilities(fit, parts, condition, head)
        rows += rows_of(found, labels[2], parts[2].users, head, config.seed)
        reliability[head] = {name: calibration_table(one, labels[2]) for name, one in found.items()}
    draw_reliability(reliability, asked.output / "reliability.png")
    holding = [f"a {head}, {_share(slice_b, condition, head):.0%} hold a {condition}" for head in heads]
    about = ABOUT.format(condition=condition, fitted=len(parts[0].rows), shares=" and ".join(holding), **_of(parts[2]))
    conditional, marginal = Table(f"given a {condition}", rows), Table("each head as served", marginal_rows(fit))
    return Found(about, tables.fingerprint, [conditional, marginal])


def _of(judged: Questions) -> Row:
    """What the text says of the questions that judge."""
    users = len(np.unique(judged.users))
    return {"questions": len(judged.rows), "users": users, "unknown": judged.unknown, "brought": judged.brought}


def beginning_with(condition: str, people: People, moments: Sequence[Moment]) -> list[Moment]:
    """The moments before runs whose first event has a type."""
    events = people.events
    starts = first_of_runs(events) & (np.array(events.types, dtype=object)[events.type_codes] == condition)
    keys = {
        (str(events.users[events.user_codes[row]]), int(events.moments[row]) - 1, events.items[events.item_codes[row]])
        for row in np.flatnonzero(starts)
    }
    return [one for one in moments if (one.user_id, one.moment, one.item_id) in keys]


def answered(stage: Path, moments: Sequence[Moment], config: TrainingConfig) -> Questions:
    """Ask the pipeline of a stage about the items of the moments."""
    found = list(in_parallel(_answer, stage, moments, config.workers, "questions"))
    kept = [(one, moment) for one, moment in zip(found, moments, strict=True) if one is not None]
    heads = open_bundle(stage).schema.heads
    return Questions(
        features=np.array([one.features for one, _ in kept], dtype=np.float64),
        logits=np.array([one.logits for one, _ in kept], dtype=np.float32),
        rows=np.array([one.row for one, _ in kept], dtype=np.int64),
        labels=np.array([[name in moment.types for name in heads] for _, moment in kept], dtype=np.bool_),
        users=np.unique([moment.user_id for _, moment in kept], return_inverse=True)[1].astype(np.int64),
        unknown=1 - len(kept) / max(len(moments), 1),
        brought=float(np.mean([one.brought for one, _ in kept])),
    )


def _answer(bundle: Bundle, moment: Moment) -> Answered | None:
    row = bundle.schema.items.row(moment.item_id)
    if row < RESERVED:
        return None
    here = situation(bundle, moment.person, moment.moment)
    alone = given(here, np.array([row], dtype=np.int64))
    return Answered(
        features=ranker_rows(here, alone).features[0],
        logits=Pipeline(bundle).logits(here, alone)[0],
        row=row,
        brought=row in retrieve(here).rows,
    )


def probabilities(fit: FirstFit, parts: Sequence[Questions], condition: str, head: str) -> dict[str, np.ndarray]:
    """P(head | condition) float64 [Q] of each system for the last of the parts (fitting, line, judged)."""
    fitting, line, judged = parts
    at = _at(fit, head)
    ratio = partial(conditional_log_odds, open_bundle(fit.stage), condition=condition, head=head)
    regression: Regression = fit_regression(fitting.features, fitting.labels[:, at], fitting.users, fit.run.config.seed)
    counts, views = (events_by_item(fit.run, name, fit.stage) for name in (head, condition))
    rate = (counts + PRIOR * counts.sum() / views.sum()) / (views + PRIOR)
    scores = {
        LINED: (ratio(line), ratio(judged)),
        LOGISTIC: (regression.log_odds(line.features), regression.log_odds(judged.features)),
        POPULAR.format(head=head): (np.log1p(counts[line.rows]), np.log1p(counts[judged.rows])),
        RATE.format(head=head, condition=condition): (log_odds(rate[line.rows]), log_odds(rate[judged.rows])),
    }
    served = {SERVED.format(head=head, condition=condition): _sigmoid(ratio(judged))}
    return served | {name: _lined(before, line.labels[:, at], after) for name, (before, after) in scores.items()}


def conditional_log_odds(bundle: Bundle, questions: Questions, *, condition: str, head: str) -> np.ndarray:
    """float64 [Q]: log-odds of P(head) / P(condition), calibrated, cut at 1."""
    marginal = bundle.calibration.probabilities(questions.logits)
    heads = bundle.schema.heads
    return log_odds(marginal[:, heads.index(head)] / marginal[:, heads.index(condition)])


def events_by_item(run: Run, name: str, stage: Path) -> np.ndarray:
    """float64 [R]: events of a type on slice A by item row."""
    events = run.events
    kept = (run.slices.codes == A) & (np.array(events.types, dtype=object)[events.type_codes] == name)
    schema = open_bundle(stage).schema
    return np.bincount(item_rows(schema, events.where(kept)), minlength=len(schema.items)).astype(np.float64)


def rows_of(found: dict[str, np.ndarray], labels: np.ndarray, users: IntArray, head: str, seed: int) -> list[Row]:
    """One row per system."""
    rows = []
    for name, one in found.items():
        rows.append(
            {
                "head": head,
                "system": name,
                "questions": len(labels),
                "positives": int(labels.sum()),
                "auc": float(auc(one, labels)),
                "auc, interval": auc_interval(one, labels, users, seed),
                "auc minus logistic regression": None
                if name == LOGISTIC
                else auc_interval(one, labels, users, seed, other=found[LOGISTIC]),
                **_calibration(one, labels),
            }
        )
    return rows


def marginal_rows(fit: FirstFit) -> list[Row]:
    """Calibration of each head over all candidates of the judged half of slice C."""
    bundle = open_bundle(fit.stage)
    logits, labels = labelled(fit.verdicts[1::2], fit.moments[1::2], bundle.schema.heads)
    found = bundle.calibration.probabilities(logits)
    rows = []
    for at, head in enumerate(bundle.schema.heads):
        row = {"head": head, "candidates": len(labels), "positives": int(labels[:, at].sum())}
        rows.append(row | (_calibration(found[:, at], labels[:, at]) if labels[:, at].any() else {}))
    return rows


def _calibration(probabilities: np.ndarray, labels: np.ndarray) -> Row:
    table = calibration_table(probabilities, labels)
    named = {"ece": "ece", "observed ÷ expected": "observed_over_expected", "worst bin": "worst_bin"}
    return {name: table[key] for name, key in named.items()}


def draw_reliability(tables: dict[str, dict[str, object]], path: Path) -> None:
    """Expected against observed share by bin, one panel per head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(1, len(tables), figsize=(6 * len(tables), 5), layout="constrained", squeeze=False)
    for axes, (head, systems) in zip(panels[0], tables.items(), strict=True):
        for name, table in systems.items():
            assert isinstance(table, dict)
            bins = table["bins"]
            axes.plot([one["expected"] for one in bins], [one["observed"] for one in bins], marker="o", label=name)
        axes.axline((0, 0), slope=1, color="grey", linewidth=1, linestyle="--")
        axes.set(title=f"{head} given a view", xlabel="expected", ylabel="observed")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _lined(before: np.ndarray, labels: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Probabilities from scores, by a straight line fitted on the other half of the moments."""
    slope, intercept = platt_line(before, labels)
    return _sigmoid(slope * after + intercept)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -values)))


def _share(moments: Sequence[Moment], condition: str, head: str) -> float:
    """Share of the runs with a head that hold the condition too."""
    return float(np.mean([condition in one.types for one in moments if head in one.types]))


def _at(fit: FirstFit, head: str) -> int:
    return open_bundle(fit.stage).schema.heads.index(head)


main = study("multi_task", {"retailrocket": Part("configs/retailrocket.yaml", multi_task)})

if __name__ == "__main__":
    main()

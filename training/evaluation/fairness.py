"""Fairness and filter bubbles: what the lists of slice C do to groups of people, to groups of items, and to breadth.

Figures come with 95 % intervals over users; what lies beyond a limit of the `fairness` section is a breach.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.arrays import BoolArray, IntArray
from features.encoders import Field
from features.schema import Schema
from features.vocabulary import RESERVED
from serving.bundle import Bundle
from training.config import TrainingConfig
from training.evaluation.counterfactual import counterfactual
from training.evaluation.exposure import Shown, breadth_of, coverage_interval, exposure_by_group, popularity_bias
from training.evaluation.group_gaps import Served, groups_served
from training.evaluation.groups import groups_of
from training.evaluation.judging import WHOLE, Verdict, labelled
from training.evaluation.limits import breaches_of, category_of
from training.evaluation.metrics import Doubles, Judged, gains
from training.moments import Moment


def fairness_of(
    config: TrainingConfig,
    bundle: Bundle,
    verdicts: Sequence[Verdict],
    moments: Sequence[Moment],
    judged: BoolArray,
) -> dict[str, Any]:
    """All figures of a bundle, and its breaches, as plain data.

    The verdicts are those of the moments, at each of which something was wanted. Calibration is read off `judged`, bool
    [M], the moments that it was not fitted on.
    """
    k, seed = config.evaluation.k, config.seed
    users = np.unique([one.user_id for one in moments], return_inverse=True)[1]
    targets = np.array([one.target for one in verdicts], dtype=np.int64)
    lists = [one.lists[WHOLE][:k] for one in verdicts]
    shown = Shown(lists, targets, users)
    served = _served(bundle, shown, verdicts, moments, k)
    labels = groups_of(config.dataset, moments)
    figures = {
        "k": k,
        "groups": {name: groups_served(served, one, judged, seed) for name, one in labels.items()},
        "exposure": _exposure(bundle, shown, seed),
        "popularity": popularity_bias(shown, np.asarray(bundle.statistics.popularity), seed),
        "breadth": _breadth(config, bundle, shown, moments),
        "counterfactual": counterfactual(
            bundle.path,
            config.dataset,
            moments,
            k=k,
            limit=config.fairness.counterfactual_moments,
            workers=config.workers,
            seed=seed,
        ),
    }
    return figures | {"breaches": [one._asdict() for one in breaches_of(figures, config.fairness)]}


def _served(bundle: Bundle, shown: Shown, verdicts: Sequence[Verdict], moments: Sequence[Moment], k: int) -> Served:
    popularity = np.asarray(bundle.statistics.popularity)
    observed, expected = foretold(bundle, verdicts, moments)
    return Served(
        users=shown.users,
        ndcg=gains(Judged(shown.lists, shown.targets, shown.users).ranks(), k),
        popularity=np.array([popularity[one].mean() if len(one) else 0.0 for one in shown.lists]),
        taken=popularity[shown.targets],
        observed=observed,
        expected=expected,
    )


def foretold(bundle: Bundle, verdicts: Sequence[Verdict], moments: Sequence[Moment]) -> tuple[Doubles, Doubles]:
    """Wanted events that came of the candidates of each moment, and that were foretold of them, float64 [M] each."""
    heads = bundle.schema.heads
    positive = np.array([bundle.schema.dataset.types[head].sign == "positive" for head in heads])
    logits, labels = labelled(verdicts, moments, heads)
    probabilities = bundle.calibration.probabilities(logits)
    owners = np.repeat(np.arange(len(verdicts)), [len(one.logits) for one in verdicts])
    return (
        np.bincount(owners, weights=labels[:, positive].sum(axis=1), minlength=len(verdicts)).astype(np.float64),
        np.bincount(owners, weights=probabilities[:, positive].sum(axis=1), minlength=len(verdicts)),
    )


def _exposure(bundle: Bundle, shown: Shown, seed: int) -> dict[str, Any]:
    columns = bundle.schema.dataset.items.columns
    return {
        field.name: exposure_by_group(shown, codes_of(bundle, field.name), field.describe, seed)
        for field in bundle.schema.item_fields
        if columns[field.name].protected and field.role == "categorical"
    }


def _breadth(config: TrainingConfig, bundle: Bundle, shown: Shown, moments: Sequence[Moment]) -> dict[str, Any]:
    category = category_of(config.fairness, config.dataset)
    codes = None if category is None else codes_of(bundle, category)
    rows, k = bundle.schema.items.rows, config.evaluation.k
    past = [rows(one.person.events.newest(k).item_ids) for one in moments]
    return {
        "category": category,
        "items": len(np.unique(shown.flat()[0])),
        "coverage": coverage_interval(shown, len(bundle.catalogue) - RESERVED, config.seed),
        **breadth_of(shown, np.asarray(bundle.catalogue.vectors), codes, past, config.seed),
    }


def codes_of(bundle: Bundle, name: str) -> IntArray:
    """int64 [R]: the first code of an attribute of every item row."""
    field, start = _place(bundle.schema, name)
    return np.asarray(bundle.catalogue.codes)[:, start : start + field.width][:, 0].astype(np.int64)


def _place(schema: Schema, name: str) -> tuple[Field, int]:
    starts = np.cumsum([0, *(field.width for field in schema.item_fields)])
    number = next(number for number, field in enumerate(schema.item_fields) if field.name == name)
    return schema.item_fields[number], int(starts[number])

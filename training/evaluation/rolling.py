"""`tailorbird evaluate`: by time, models frozen at a cut, every later row predicted from all rows before it.

Rolling next item: a target is a row whose item differs from the user's row before; items that the models never saw
count as misses. Metrics are averaged by user, then over users.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import ConfigError, DataError
from features.events import EventTable, Tables
from features.people import People
from features.schema import Schema
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from serving.retrieval.transitions import Transitions
from training.config import TrainingConfig
from training.evaluation.baselines import markov_chain
from training.evaluation.judging import WHOLE, judge, judged, served
from training.evaluation.metrics import accuracy, breadth, gains, paired_interval, per_user
from training.moments import Moment, moments_among, wanted_turns
from training.run import train_on
from training.slices import cut_moment
from training.stage import part_of
from training.statistics import item_rows


def evaluate(config: TrainingConfig, tables: Tables, run: Path, *, share: float, k: int) -> dict[str, Any]:
    """Train on the first `share` of the rows by time, predict the rest; writes `run`/evaluation.json.

    Raises ConfigError when events have no time, DataError when one side of the cut is empty.
    """
    if not config.dataset.timed:
        raise ConfigError("evaluation by time needs events with a time", field="dataset.order.time")
    events = tables.events
    cut = cut_moment(events, share)
    before = part_of(config.dataset, tables, events.moments < cut)
    if len(before.events) == 0:
        raise DataError(
            f"no event lies before the first {share:.0%} of the rows by time",
            field="dataset.order.time",
            hint="Too many events have one and the same time.",
        )
    path = train_on(config, part_of(config.dataset, tables, events.moments < cut, exposures=True), run)
    bundle = open_bundle(path)
    moments = [one for one in _targets(People(config.dataset, tables), cut) if one.wanted(config.dataset)]
    users = np.unique([one.user_id for one in moments], return_inverse=True)[1]
    if not moments:
        raise DataError(
            "nobody with an event before the cut takes anything after it, so that there is nothing to predict",
            hint="Give a smaller --share, or events over a longer time.",
        )
    markov = _markov(config, bundle.schema, before.events)
    asked = judge(path, moments, markov, workers=config.workers, label="evaluating")
    verdicts = served(asked, Pipeline(bundle), k)
    systems = judged(verdicts, users)
    popularity = np.asarray(bundle.statistics.popularity)
    ndcg = {name: per_user(gains(one.ranks(), k), users) for name, one in systems.items()}
    result = {
        "cut": cut,
        "k": k,
        "moments": len(moments),
        "users": len(np.unique(users)),
        "unseen_targets": float(np.mean([one.target == 1 for one in verdicts])),
        "systems": {name: accuracy(one, k) | breadth(one, k, popularity) for name, one in systems.items()},
        "whole_minus": {
            name: paired_interval(ndcg[WHOLE], ndcg[name], config.seed)._asdict() for name in systems if name != WHOLE
        },
        "bundle": str(path),
    }
    (run / "evaluation.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def as_text(result: dict[str, Any]) -> str:
    """The result as a table for the terminal."""
    metric = f"ndcg@{result['k']}"
    lines = [f"{'system':<14}{metric:>10}{'recall':>10}   tailorbird minus it, 95 % interval"]
    for name, row in result["systems"].items():
        gain = result["whole_minus"].get(name)
        interval = f"{gain['mean']:+.4f}  {gain['low']:+.4f} to {gain['high']:+.4f}" if gain else ""
        lines.append(f"{name:<14}{row[metric]:>10.4f}{row['recall@' + str(result['k'])]:>10.4f}   {interval}")
    return "\n".join(lines)


def _targets(people: People, cut: int) -> list[Moment]:
    """Moments before each run after the cut, of people who were there before it."""
    events = people.events
    returning = np.isin(events.user_codes, events.user_codes[events.moments < cut])
    return moments_among(people, (events.moments >= cut) & returning)


def _markov(config: TrainingConfig, schema: Schema, events: EventTable) -> Transitions:
    turns = events.where(wanted_turns(config.dataset, events))
    return markov_chain(item_rows(schema, turns), turns.offsets, len(schema.items))

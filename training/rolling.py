"""`tailorbird evaluate`: by time, models frozen at a cut, every later row predicted from all rows before it.

Rolling next item: a target is a row whose item differs from the user's row before; items that the models never saw
count as misses. Metrics are averaged by user, then over users.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays import IntArray
from features.errors import ConfigError
from features.events import EventTable, Tables
from features.people import People
from features.schema import Schema
from serving.bundle import open_bundle
from training.baselines import markov_chain
from training.config import TrainingConfig
from training.evaluation import WHOLE, judge, judged
from training.examples import Moment
from training.metrics import accuracy, breadth, gains, paired_interval, per_user
from training.run import train_on
from training.slices import cut_moment, positive_rows
from training.statistics import item_rows


def evaluate(config: TrainingConfig, tables: Tables, run: Path, *, share: float, k: int) -> dict[str, Any]:
    """Train on the first `share` of the rows by time, predict the rest; writes `run`/evaluation.json.

    Raises ConfigError when events have no time.
    """
    if not config.dataset.timed:
        raise ConfigError("evaluation by time needs events with a time", field="dataset.order.time")
    events = tables.events
    cut = cut_moment(events, share)
    before = replace(tables, events=events.where(events.moments < cut))
    path = train_on(config, before, run)
    bundle = open_bundle(path)
    moments, users = _targets(config, People(config.dataset, tables), cut)
    markov = _markov(config, bundle.schema, before.events)
    verdicts = judge(path, moments, markov, workers=config.workers, label="evaluating")
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


def _targets(config: TrainingConfig, people: People, cut: int) -> tuple[list[Moment], IntArray]:
    """Moments just before each target after the cut, and the user code of each."""
    events = people.events
    same_user = np.append(False, events.user_codes[1:] == events.user_codes[:-1])
    same_item = np.append(False, events.item_codes[1:] == events.item_codes[:-1])
    wanted = positive_rows(config.dataset, events) & (events.moments >= cut) & ~(same_user & same_item)
    returning = np.isin(events.user_codes, events.user_codes[events.moments < cut])
    rows = np.flatnonzero(wanted & returning)
    moments = [_moment(people, int(row)) for row in rows]
    return moments, events.user_codes[rows]


def _moment(people: People, row: int) -> Moment:
    events = people.events
    user, moment = str(events.users[events.user_codes[row]]), int(events.moments[row]) - 1
    return Moment(
        person=replace(
            people.person(user, moment), context={name: column[row] for name, column in events.contexts.items()}
        ),
        moment=moment,
        item_id=str(events.items[events.item_codes[row]]),
        type=events.types[events.type_codes[row]],
    )


def _markov(config: TrainingConfig, schema: Schema, events: EventTable) -> Any:
    positive = events.where(positive_rows(config.dataset, events))
    return markov_chain(item_rows(schema, positive), positive.offsets, len(schema.items))

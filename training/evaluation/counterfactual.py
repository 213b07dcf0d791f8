"""The counterfactual check: the same person at the same moment, but of another group. What would their list be?

A protected attribute is exchanged where the exported pipeline reads it: in the person's record. Everything else, the
history above all, stays. What the list does then is what the attribute alone does to it; what the history tells of
the attribute is not seen here.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from features.dataset import DatasetConfig
from features.encoders import is_missing
from features.person import Person
from serving.answers import Query
from serving.bundle import Bundle
from serving.pipeline import Pipeline
from training.evaluation.bootstrap import by_user, interval_of, weighted_mean
from training.evaluation.exposure import overlap
from training.evaluation.groups import group
from training.evaluation.metrics import Doubles
from training.moments import Moment
from training.ranker.examples import in_parallel


class Flip(NamedTuple):
    """One moment with other records of its person beside the true one."""

    moment: Moment
    others: tuple[Person, ...]


class Moved(NamedTuple):
    """What one exchange did to a list."""

    overlap: float
    """Share of the first k that stayed."""
    tau: float
    """Kendall's tau of the order of those that stayed; nan for fewer than two."""
    score_shift: float
    """Mean change of the scores of those that stayed, as a share of their mean."""
    ndcg_loss: float
    """NDCG@k with the true attribute minus that with the other one."""


def counterfactual(
    bundle_path: Path,
    dataset: DatasetConfig,
    moments: Sequence[Moment],
    *,
    k: int,
    limit: int,
    workers: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """By protected attribute: `flipped` to a value of another group, and `hidden`, each with intervals over users.

    At most `limit` moments, drawn evenly; an attribute of which all have one group is left out.
    """
    found = {}
    for name, column in dataset.users.columns.items():
        if column.protected and (flips := _flips(name, column.role, moments, limit, seed)):
            work = partial(_moved, k=k)
            lists = list(in_parallel(work, bundle_path, flips, workers, f"exchanging {name}"))
            users = np.unique([one.moment.user_id for one in flips], return_inverse=True)[1]
            found[name] = {"moments": len(flips)} | {
                way: _figures([one[place] for one in lists], users, seed)
                for place, way in enumerate(("flipped", "hidden"))
            }
    return found


def _flips(name: str, role: str, moments: Sequence[Moment], limit: int, seed: int) -> list[Flip]:
    """Moments of people whose group is known, each with a value that somebody of another group has."""
    draw = np.random.default_rng(seed)
    known = [one for one in moments if not is_missing(one.person.attribute(name, one.moment))]
    values = [one.person.attribute(name, one.moment) for one in known]
    groups = np.array([group(value, role, one.moment) for value, one in zip(values, known, strict=True)])
    chosen = np.sort(draw.permutation(len(known))[:limit])
    flips = []
    for index in chosen.tolist():
        elsewhere = np.flatnonzero(groups != groups[index])
        if len(elsewhere):
            other = values[int(draw.choice(elsewhere))]
            person = known[index].person
            flips.append(Flip(known[index], (with_attribute(person, name, other), with_attribute(person, name, None))))
    return flips


def with_attribute(person: Person, name: str, value: Any) -> Person:
    """The same person with another value of one attribute, whenever it is asked for."""
    changes = {key: one for key, one in person.changes.items() if key != name}
    return replace(person, attributes={**person.attributes, name: value}, changes=changes)


def _moved(bundle: Bundle, flip: Flip, k: int) -> tuple[Moved, ...]:
    pipeline = Pipeline(bundle)
    moment = flip.moment
    query = Query(k=k, exclude=moment.person.events.item_ids[-1:])
    answers = [
        {item.item_id: item.score for item in pipeline.recommend(one, query, moment.moment).items}
        for one in (moment.person, *flip.others)
    ]
    return tuple(_difference(answers[0], other, moment.item_id) for other in answers[1:])


def _difference(true: dict[str, float], other: dict[str, float], target: str) -> Moved:
    both = [item for item in true if item in other]
    before, after = (np.array([scores[item] for item in both]) for scores in (true, other))
    places = {item: place for place, item in enumerate(other)}
    scale = float(np.abs(before).mean()) if both else 0.0
    return Moved(
        overlap=overlap(list(true), list(other)),
        tau=kendall_tau([places[item] for item in both]),
        score_shift=float(np.abs(after - before).mean()) / scale if scale > 0 else float("nan"),
        ndcg_loss=_gain(list(true), target) - _gain(list(other), target),
    )


def kendall_tau(places: Sequence[int]) -> float:
    """Kendall's tau between the order of a list and the places, all different, that its items have in another."""
    count = len(places)
    if count < 2:
        return float("nan")
    signs = np.sign(np.subtract.outer(np.array(places), np.array(places)))
    concordant: float = -float(np.triu(signs, 1).sum())
    return concordant / (count * (count - 1) / 2)


def _gain(items: Sequence[str], target: str) -> float:
    return 1 / float(np.log2(2 + items.index(target))) if target in items else 0.0


def _figures(moved: Sequence[Moved], users: Any, seed: int) -> dict[str, Any]:
    count = int(users.max()) + 1
    found = {}
    for name in Moved._fields:
        values: Doubles = np.array([getattr(one, name) for one in moved])
        kept = np.isfinite(values)
        means, present = by_user(values[kept], users[kept], count)
        found[name] = interval_of(partial(_mean, means, present), count, seed)._asdict()
    return found


def _mean(means: Doubles, present: Doubles, weights: Doubles) -> float:
    return weighted_mean(means, present * weights)

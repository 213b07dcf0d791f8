"""The rules of the gate: each sets one figure of the candidate beside that of the live bundle and says yes or no.

An interval is that of the difference, candidate minus live, by drawing users again, both bundles with the same users.
Without a live bundle only rules hold that need none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from features.errors import BundleError
from serving.golden import check_golden
from serving.pipeline import Pipeline
from training.evaluation.bootstrap import by_user, interval_of, weighted_mean
from training.evaluation.exposure import overlap
from training.evaluation.metrics import Doubles, Interval
from training.gate.asked import Asked, member_of
from training.gate.config import GateConfig
from training.gate.drift import Drift

NOT_ASKED = Interval(float("nan"), float("nan"), float("nan"))
PAIRS = 2_000


class Ruling(NamedTuple):
    """What one rule said."""

    rule: str
    passed: bool | None
    """None: not asked."""
    candidate: float
    live: float
    difference: Interval
    words: str
    """What was held against what, for people."""


@dataclass(frozen=True)
class Case:
    """All that the rules read."""

    gate: GateConfig
    candidate: Asked
    live: Asked | None
    groups: dict[str, list[str]]
    """The group of each moment's person, by protected attribute."""
    times: Doubles
    """float64 [1 or 2, n] milliseconds: of the candidate, then of the live bundle."""
    drift: dict[str, Drift]
    seed: int

    def difference(self, figure: Callable[[Asked, Doubles], float]) -> tuple[float, float, Interval]:
        """A figure of both, and the interval of its difference; nan for what is not there."""
        users = self.candidate.shown.people
        once = np.ones(users)
        mine = figure(self.candidate, once)
        if self.live is None:
            return mine, float("nan"), NOT_ASKED
        live = self.live
        found = interval_of(lambda weights: figure(self.candidate, weights) - figure(live, weights), users, self.seed)
        return mine, figure(live, once), found


def accuracy(case: Case) -> Ruling | None:
    """The candidate is surely not worse than live by more than a share of it."""
    if (allowed := case.gate.max_accuracy_loss) is None:
        return None
    mine, live, found = case.difference(lambda asked, weights: _by_user(asked, asked.ndcg, weights))
    words = f"NDCG may surely not fall by more than {allowed:.0%} of {live:.4f}"
    return _compared("accuracy", case, mine, live, found, words, found.low >= -allowed * live)


def plain(case: Case) -> Ruling | None:
    """The candidate beats what knows nobody, or it has learned nothing."""
    if (least := case.gate.min_gain_over_plain) is None or not case.candidate.plain_ndcg:
        return None
    asked = case.candidate
    users = asked.shown.people
    name, best = max(asked.plain_ndcg.items(), key=lambda pair: float(pair[1].mean()))
    gain = interval_of(partial(_by_user, asked, asked.ndcg - best), users, case.seed)
    words = f"NDCG minus that of {name!r} must surely be above {least:g}; the interval is that of the gain"
    return Ruling("beats_plain", gain.low > least, gain.mean, float("nan"), gain, words)


def coverage(case: Case) -> Ruling | None:
    """Lists go on reaching as much of the catalogue."""
    if (least := case.gate.min_coverage_ratio) is None:
        return None
    mine, live, found = case.difference(_distinct)
    words = f"distinct items in all lists, at least {least:g} of live's"
    return _compared("coverage", case, mine, live, found, words, mine >= least * live)


def popularity(case: Case) -> Ruling | None:
    """What is shown does not drift towards what is popular anyway."""
    if (most := case.gate.max_popularity_ratio) is None:
        return None
    mine, live, found = case.difference(_popularity_bias)
    words = f"popularity of what is shown over what is taken, at most {most:g} of live's"
    return _compared("popularity_bias", case, mine, live, found, words, mine <= most * live)


def calibration(case: Case) -> Ruling | None:
    """What is foretold comes about as often."""
    if (factor := case.gate.max_calibration_factor) is None:
        return None
    mine, live, found = case.difference(_observed_over_expected)
    words = f"wanted events that came over those foretold, from {1 / factor:.2f} to {factor:.2f}"
    return Ruling("calibration", 1 / factor <= mine <= factor, mine, live, found, words)


def group_gap(case: Case) -> Ruling | None:
    """No protected group stays further behind the others than it did."""
    if (rise := case.gate.max_group_gap_rise) is None:
        return None
    labels = [
        (f"{attribute}: {name}", member_of(of, name))
        for attribute, of in case.groups.items()
        for name in sorted(set(of))
    ]
    users = case.candidate.shown.users
    large = [one for one in labels if len(np.unique(users[one[1]])) >= case.gate.least_group_users]
    found = [(name, case.difference(partial(_gap, member=member))) for name, member in large if not member.all()]
    if not found:
        return None
    worst, (mine, live, interval) = max(found, key=lambda one: one[1][2].mean if case.live else one[1][0])
    words = f"how far {worst} stays behind the others, at most {rise:g} more than with live"
    return _compared("group_gap", case, mine, live, interval, words, mine - live <= rise)


def collapse(case: Case) -> Ruling | None:
    """Lists of different people stay different."""
    if (rise := case.gate.max_overlap_rise) is None:
        return None
    pairs = _pairs(case.candidate, case.seed)
    if len(pairs) == 0:
        return None
    mine = _overlaps(case.candidate, pairs)
    live = _overlaps(case.live, pairs) if case.live else np.full(len(pairs), np.nan)
    spread = 1.96 * float((mine - live).std()) / float(np.sqrt(len(pairs)))
    mean = float((mine - live).mean())
    found = Interval(mean, mean - spread, mean + spread)
    words = f"share of a list that another person's holds too, at most {rise:g} more than with live"
    return _compared("list_collapse", case, float(mine.mean()), float(live.mean()), found, words, mean <= rise)


def new_items(case: Case) -> Ruling | None:
    """New items go on finding places."""
    if (least := case.gate.min_new_items_ratio) is None:
        return None
    mine, live, found = case.difference(lambda asked, weights: _by_user(asked, asked.new_places, weights))
    words = f"share of places that new items have, at least {least:g} of live's"
    return _compared("new_items", case, mine, live, found, words, mine >= least * live)


def latency(case: Case) -> Ruling | None:
    """Answers stay as fast, on this machine."""
    if (most := case.gate.max_latency_ratio) is None:
        return None
    mine = float(np.median(case.times[0]))
    words = f"median milliseconds of an answer, at most {most:g} times live's"
    if case.live is None:
        return _compared("latency", case, mine, float("nan"), NOT_ASKED, words, passed=True)
    live = float(np.median(case.times[1]))
    pairs = np.arange(case.times.shape[1])

    def shift(weights: Doubles) -> float:
        drawn = np.repeat(pairs, weights.astype(int))
        return float(np.median(case.times[0, drawn]) - np.median(case.times[1, drawn]))

    found = interval_of(shift, len(pairs), case.seed)
    return _compared("latency", case, mine, live, found, words, mine <= most * live)


def size(case: Case) -> Ruling | None:
    """The bundle does not outgrow its machine."""
    if (most := case.gate.max_size_ratio) is None:
        return None
    mine, live = case.candidate.size / 1e6, case.live.size / 1e6 if case.live else float("nan")
    words = f"megabytes of the bundle, at most {most:g} times live's; counted, so that there is no interval"
    return _compared("size", case, mine, live, NOT_ASKED, words, mine <= most * live)


def input_drift(case: Case) -> Ruling | None:
    """The newest slice is of the same world as what was trained on."""
    if (most := case.gate.max_psi) is None or not case.drift:
        return None
    name, worst = max(case.drift.items(), key=lambda pair: pair[1].psi - pair[1].chance)
    beyond = worst.psi - worst.chance
    words = f"population stability index of {name}, beyond what chance brings ({worst.chance:.3f}), at most {most:g}"
    return Ruling("input_drift", beyond <= most, beyond, float("nan"), NOT_ASKED, words)


def parity(case: Case) -> Ruling | None:
    """The candidate answers its golden requests as it did when it was made."""
    if not case.gate.parity:
        return None
    try:
        count = check_golden(Pipeline(case.candidate.bundle))
    except BundleError as error:
        return Ruling("parity", False, 0.0, float("nan"), NOT_ASKED, error.message)
    return Ruling("parity", True, float(count), float("nan"), NOT_ASKED, "golden answers that came out again, all")


def schema(case: Case) -> Ruling | None:
    """What clients send today is still understood: no event type and no attribute of people is gone."""
    if case.live is None:
        return None
    gone = case.candidate.bundle.schema.dataset.no_longer_read(case.live.bundle.schema.dataset)
    words = f"live reads what the candidate does not: {', '.join(gone)}" if gone else "reads all that live does"
    return Ruling("schema", not gone, float(len(gone)), 0.0, NOT_ASKED, words)


RULES: Sequence[Callable[[Case], Ruling | None]] = (
    accuracy, plain, coverage, popularity, calibration, group_gap, collapse, new_items, latency, size, input_drift,
    parity, schema,
)  # fmt: skip


def _compared(rule: str, case: Case, mine: float, live: float, found: Interval, words: str, passed: bool) -> Ruling:
    """A ruling that needs a live bundle, and is not asked without one."""
    if case.live is None:
        return Ruling(rule, None, mine, live, found, "there is no live bundle to hold it against")
    return Ruling(rule, bool(passed), mine, live, found, words)


def _by_user(asked: Asked, values: Doubles, weights: Doubles) -> float:
    means, present = by_user(values, asked.shown.users, asked.shown.people)
    return weighted_mean(means, present * weights)


def _distinct(asked: Asked, weights: Doubles) -> float:
    rows, _, moments = asked.shown.flat()
    return float(len(np.unique(rows[weights[asked.shown.users[moments]] > 0])))


def _popularity_bias(asked: Asked, weights: Doubles) -> float:
    rows, _, moments = asked.shown.flat()
    taken = weighted_mean(asked.popularity[asked.shown.targets], weights[asked.shown.users])
    shown = weighted_mean(asked.popularity[rows], weights[asked.shown.users[moments]])
    return shown / taken if taken > 0 else float("nan")


def _observed_over_expected(asked: Asked, weights: Doubles) -> float:
    drawn = weights[asked.shown.users]
    below = float((asked.expected * drawn).sum())
    return float((asked.observed * drawn).sum()) / below if below > 0 else float("nan")


def _gap(asked: Asked, weights: Doubles, member: np.ndarray) -> float:
    means = []
    for part in (~member, member, np.ones(len(member), dtype=bool)):
        values, present = by_user(asked.ndcg[part], asked.shown.users[part], asked.shown.people)
        means.append(weighted_mean(values, present * weights))
    return (means[0] - means[1]) / means[2] if means[2] > 0 else float("nan")


def _pairs(asked: Asked, seed: int) -> np.ndarray:
    """int64 [n, 2]: moments of two different people."""
    users = asked.shown.users
    drawn = np.random.default_rng(seed).integers(0, len(users), (PAIRS * 2, 2))
    pairs: np.ndarray = drawn[users[drawn[:, 0]] != users[drawn[:, 1]]][:PAIRS]
    return pairs


def _overlaps(asked: Asked, pairs: np.ndarray) -> Doubles:
    lists = asked.shown.lists
    return np.array([overlap(lists[left], lists[right]) for left, right in pairs.tolist()])

"""The gate: the candidate and the live bundle on the same newest slice, rule by rule, and one word in the end."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from features.arrays import BoolArray
from features.events import Tables
from features.people import People
from training.config import TrainingConfig
from training.evaluation.groups import groups_of
from training.gate.asked import ask, times_of
from training.gate.drift import Drift, drift_of
from training.gate.rules import RULES, Case, Ruling
from training.moments import Moment, moments_among


class Verdicts(NamedTuple):
    """What the gate said of a candidate."""

    rulings: list[Ruling]
    moments: int
    users: int
    drift: dict[str, Drift]

    @property
    def passed(self) -> bool:
        """Whether no rule said no."""
        return all(one.passed is not False for one in self.rulings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence for each rule that said no."""
        return tuple(reason(one) for one in self.rulings if one.passed is False)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        rulings = [{**one._asdict(), "difference": one.difference._asdict()} for one in self.rulings]
        return {"passed": self.passed, "moments": self.moments, "users": self.users, "rulings": rulings,
                "drift": {name: one._asdict() for name, one in self.drift.items()}}  # fmt: skip


def reason(ruling: Ruling) -> str:
    """A ruling in a sentence."""
    found = ruling.difference
    beside = f" beside {ruling.live:.4g}" if isfinite(ruling.live) else ""
    spread = f", difference {found.mean:+.4g} ({found.low:+.4g} to {found.high:+.4g})" if isfinite(found.mean) else ""
    return f"{ruling.rule}: {ruling.candidate:.4g}{beside}{spread}; {ruling.words}"


def newest_moments(config: TrainingConfig, tables: Tables, newest: BoolArray) -> list[Moment]:
    """The moments at which both are judged: before something wanted within a mask [N] over all events."""
    people = People(config.dataset, tables)
    exposures = [code for code, name in enumerate(tables.events.types) if config.dataset.types[name].sign == "exposure"]
    inside = newest[~np.isin(tables.events.type_codes, exposures)]  # [events of `people`]
    found = moments_among(people, inside, config.evaluation.max_moments, config.seed)
    return [one for one in found if one.wanted(config.dataset)]


def hold(
    config: TrainingConfig,
    tables: Tables,
    newest: BoolArray,
    moments: Sequence[Moment],
    candidate: Path,
    live: Path | None,
) -> Verdicts:
    """Hold a candidate against the rules. Raises BundleError when a bundle cannot be opened."""
    events = People(config.dataset, tables).events
    asked = ask(config, candidate, moments, events)
    before = None if live is None else ask(config, live, moments, events)
    bundles = [asked.bundle] if before is None else [asked.bundle, before.bundle]
    case = Case(
        gate=config.gate,
        candidate=asked,
        live=before,
        groups=groups_of(config.dataset, moments),
        times=times_of(bundles, moments, config.evaluation.k),
        drift=drift_of(asked.bundle.schema, tables, newest, config.seed),
        seed=config.seed,
    )
    rulings = [ruling for rule in RULES if (ruling := rule(case)) is not None]
    return Verdicts(rulings, len(moments), asked.shown.people, case.drift)

"""The people: who they are, what they like, how it drifts, and when they came.

Taste is what people of a gender, age and country have in common plus what is a person's own, so that
demographics help with a newcomer but never say everything. An anonymous visitor first comes during the window
and logs in later.
"""

from dataclasses import dataclass

import numpy as np

from features.arrays import BoolArray, IntArray
from features.moments import DAY, YEAR
from training.simulator.catalogue import FOREVER
from training.simulator.latent import DIMENSIONS, RealArray, stream
from training.simulator.settings import SimulatorSettings

GENDERS = ("female", "male", "other")
COUNTRIES = ("at", "de", "es", "fr", "it", "pl")
PLANS = ("free", "basic", "premium")
AGE_GROUPS = 6
"""Groups of eleven years, from 14 on."""
NEWCOMER_SHARE = 0.3
"""Share of people who first come during the window."""


@dataclass(frozen=True)
class People:
    """U people. Moments are int64 milliseconds since the epoch, UTC; `FOREVER` where there is none."""

    genders: IntArray
    """[U]: index into GENDERS."""
    ages: RealArray
    """[U]: years at the start of the window."""
    countries: IntArray
    """[U]: index into COUNTRIES."""
    tastes: RealArray
    """float64 [U, D]: taste around which a person drifts."""
    drifts: RealArray
    """float64 [U, D]: where to, and how far, taste swings."""
    periods: RealArray
    """[U]: milliseconds of one swing."""
    phases: RealArray
    """[U]: radians at the start of the window."""
    thrift: RealArray
    """[U]: what a sale adds to the liking, in logits."""
    plans: IntArray
    """[U]: index into PLANS, at first."""
    later_plans: IntArray
    """[U]: index into PLANS, after the change."""
    plan_changed_at: IntArray
    """[U]"""
    first_visit_at: IntArray
    """[U]: no event lies before it."""
    joined_at: IntArray
    """[U]: before it, the person is an anonymous visitor."""
    activity: RealArray
    """[U]: how often a person comes, relative to others."""

    def __len__(self) -> int:
        return len(self.genders)

    @property
    def age_groups(self) -> IntArray:
        """[U]: 0 to AGE_GROUPS - 1."""
        return age_group(self.ages)

    def plan(self, users: IntArray, moments: IntArray) -> IntArray:
        """Index into PLANS of users at moments."""
        return np.where(moments < self.plan_changed_at[users], self.plans[users], self.later_plans[users])


def age_group(ages: RealArray) -> IntArray:
    """Index of the age group, 0 to AGE_GROUPS - 1."""
    return np.clip((ages - 14) // 11, 0, AGE_GROUPS - 1).astype(np.int64)


def make_people(settings: SimulatorSettings) -> People:
    """Draw the people of a world from its seed."""
    rng, count = stream(settings.seed, 2), settings.users
    genders = rng.choice(len(GENDERS), count, p=[0.49, 0.48, 0.03])
    ages = np.clip(rng.gamma(6.0, 4.0, count) + 14, 14, 90)
    countries = rng.choice(len(COUNTRIES), count, p=[0.1, 0.3, 0.15, 0.2, 0.15, 0.1])
    first_visit, joined = _arrivals(rng, settings)
    plans = rng.choice(len(PLANS), count, p=[0.5, 0.3, 0.2])
    return People(
        genders=genders,
        ages=ages,
        countries=countries,
        tastes=_tastes(rng, genders, age_group(ages), countries),
        drifts=rng.normal(0.0, 0.35, (count, DIMENSIONS)),
        periods=rng.uniform(60, 240, count) * DAY,
        phases=rng.uniform(0, 2 * np.pi, count),
        thrift=rng.exponential(0.5, count),
        plans=plans,
        later_plans=(plans + rng.integers(1, len(PLANS), count)) % len(PLANS),
        plan_changed_at=_plan_changes(rng, settings, joined),
        first_visit_at=first_visit,
        joined_at=joined,
        activity=rng.lognormal(0.0, 0.8, count),
    )


def _tastes(rng: np.random.Generator, genders: IntArray, groups: IntArray, countries: IntArray) -> RealArray:
    """float64 [U, D]: half of the variance is shared by people alike, half is a person's own."""
    by_gender = rng.normal(0.0, 0.45, (len(GENDERS), DIMENSIONS))
    by_age = rng.normal(0.0, 0.45, (AGE_GROUPS, DIMENSIONS))
    by_country = rng.normal(0.0, 0.3, (len(COUNTRIES), DIMENSIONS))
    own = rng.normal(0.0, 0.7, (len(genders), DIMENSIONS))
    return by_gender[genders] + by_age[groups] + by_country[countries] + own


def _arrivals(rng: np.random.Generator, settings: SimulatorSettings) -> tuple[IntArray, IntArray]:
    """[U] first visit and [U] joining; they differ for those who were anonymous at first."""
    start, end, count = settings.start_moment, settings.end_moment, settings.users
    before = start - (rng.random(count) * 2 * YEAR).astype(np.int64)
    within = start + (rng.random(count) * 0.98 * settings.days * DAY).astype(np.int64)
    hesitation = (rng.exponential(0.1 * settings.days, count) * DAY).astype(np.int64)
    anonymous: BoolArray = rng.random(count) < settings.anonymous_share
    newcomer = anonymous | (rng.random(count) < NEWCOMER_SHARE)
    first_visit = np.where(newcomer, within, before)
    login = np.minimum(first_visit + hesitation, first_visit + (end - first_visit) // 2)
    return first_visit, np.where(anonymous, login, first_visit)


def _plan_changes(rng: np.random.Generator, settings: SimulatorSettings, joined: IntArray) -> IntArray:
    """[U]: a fifth of the people change their plan once, after they joined and within the window."""
    earliest = np.maximum(joined, settings.start_moment)
    at = earliest + (rng.random(len(joined)) * (settings.end_moment - earliest)).astype(np.int64)
    return np.where(rng.random(len(joined)) < 0.2, at, FOREVER)

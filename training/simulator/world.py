"""The truth of a simulated world: who likes what, when, and what is popular on which day.

The chance that a person comes upon an item by browsing is proportional to the day's popularity times
exp(preference); what follows an item also depends on its successors. Everything follows from the settings.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from features.arrays import IntArray
from features.moments import DAY, YEAR, day_of_week, hour_of_day
from training.simulator.catalogue import CATEGORIES, Catalogue, make_catalogue
from training.simulator.latent import RealArray, stream
from training.simulator.people import People, make_people
from training.simulator.settings import SimulatorSettings

HOUR_SWING = 0.5
WEEKEND_SWING = 0.3
SEASON_SWING = 0.5
"""How far hour, weekend and season move the liking of a category, in logits."""
NOVELTY = 3.0
"""A new item is this many times more popular than later, in addition; it wears off within two weeks.
Not so in the null world."""


@dataclass(frozen=True)
class World:
    """People, items, and the calendar of what is liked when."""

    settings: SimulatorSettings
    people: People
    catalogue: Catalogue
    peak_hours: RealArray
    """[categories]: hour of the day, UTC, at which a category is liked most."""
    peak_seasons: RealArray
    """[categories]: part of the year, 0 to 1, in which a category is liked most."""
    weekend: RealArray
    """[categories]: what a weekend adds to the liking, in logits."""

    @classmethod
    def from_settings(cls, settings: SimulatorSettings) -> Self:
        """The world of these settings: equal settings, equal world."""
        rng, count = stream(settings.seed, 3), len(CATEGORIES)
        return cls(
            settings=settings,
            people=make_people(settings),
            catalogue=make_catalogue(settings),
            peak_hours=rng.uniform(0, 24, count),
            peak_seasons=rng.random(count),
            weekend=rng.normal(0.0, WEEKEND_SWING, count),
        )

    def preference(self, user_index: int, item_indices: IntArray, moment: int) -> RealArray:
        """float64 [N]: how much one person likes items [N] at a moment, in logits over popularity."""
        items = np.asarray(item_indices)[None, :]
        preference: RealArray = self.preferences(np.array([user_index]), items, np.array([moment]))[0]
        return preference

    def preferences(self, users: IntArray, items: IntArray, moments: IntArray) -> RealArray:
        """float64 [A, N]: how much people [A] like items [A, N] at moments [A], in logits over popularity."""
        liked = np.einsum("ad,and->an", self.taste(users, moments), self.catalogue.vectors[items])
        calendar = np.take_along_axis(self._calendar(moments), self.catalogue.categories[items], axis=1)
        thrift = self.people.thrift[users][:, None] * self.catalogue.on_sale(items, moments[:, None])
        preferences: RealArray = liked + calendar + thrift
        return preferences

    def taste(self, users: IntArray, moments: IntArray) -> RealArray:
        """float64 [A, D]: the tastes of people [A] at moments [A]."""
        people = self.people
        turned = 2 * np.pi * (moments - self.settings.start_moment) / people.periods[users] + people.phases[users]
        taste: RealArray = people.tastes[users] + people.drifts[users] * np.sin(turned)[:, None]
        return taste

    def _calendar(self, moments: IntArray) -> RealArray:
        """float64 [A, categories]: what hour, weekday and season add to the liking, in logits."""
        hours = (hour_of_day(moments)[:, None] - self.peak_hours) / 24
        seasons = (moments / YEAR)[:, None] - self.peak_seasons
        weekend = (day_of_week(moments) >= 5)[:, None] * self.weekend
        return HOUR_SWING * np.cos(2 * np.pi * hours) + SEASON_SWING * np.cos(2 * np.pi * seasons) + weekend

    def day(self, moments: IntArray) -> IntArray:
        """Calendar day (UTC), 0 for the first of the window; what lies outside takes the nearest."""
        days = moments // DAY - self.settings.start_moment // DAY
        return np.clip(days, 0, len(self.popularity) - 1)

    @cached_property
    def popularity(self) -> RealArray:
        """float64 [days, I]: each day's chances before taste; items that do not exist all day have none."""
        first, last = self.settings.start_moment // DAY, (self.settings.end_moment - 1) // DAY
        starts = np.arange(first, last + 1)[:, None] * DAY  # [days, 1]
        items = self.catalogue
        age_days = (starts - items.published_at) / DAY
        exists = (age_days >= 0) & (items.available_until >= starts + DAY)
        novelty = NOVELTY if self.settings.world == "orderly" else 0.0
        freshness = 1 + novelty * np.exp(-np.maximum(age_days, 0) / 7)
        weights = np.where(exists, np.exp(items.quality) * freshness, 0.0)
        chances: RealArray = weights / weights.sum(axis=1, keepdims=True)
        return chances

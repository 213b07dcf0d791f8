"""The event log: what shops and streaming services record of the steps that people take."""

from dataclasses import dataclass, replace

import numpy as np

from features.arrays import IntArray
from features.moments import DAY, SECOND
from training.simulator.behaviour import SLOTS, Slates, Steps
from training.simulator.latent import RealArray
from training.simulator.reactions import Outcome
from training.simulator.records import Records
from training.simulator.sessions import Sessions
from training.simulator.world import World

EVENT_TYPES = ("impression", "view", "play", "cart", "purchase", "skip", "return")
IMPRESSION, VIEW, PLAY, CART, PURCHASE, SKIP, RETURN = range(len(EVENT_TYPES))
_FIRST_TYPE = np.array([SKIP, PLAY, VIEW, VIEW, VIEW])
"""Type of the first event of a step, by outcome."""
_RETURNED = 0.3
"""Chance that a purchase that was not enjoyed at all goes back."""


@dataclass(frozen=True)
class EventLog(Records):
    """E events of one batch of people; -1 stands for none, moments are milliseconds since the epoch, UTC."""

    users: IntArray
    items: IntArray
    types: IntArray
    """[E]: index into EVENT_TYPES."""
    moments: IntArray
    sessions: IntArray
    """[E]: number of the session in its batch."""
    slots: IntArray
    """[E]: slot of the slate, from 0."""
    share: RealArray
    """[E]: 0 to 1; how much of a streamed item was played."""

    def values(self, world: World) -> RealArray:
        """float64 [E]: seconds played, or price paid; NaN for other types."""
        seconds = np.round(world.catalogue.duration[self.items] * self.share)
        prices = world.catalogue.price(self.items, self.moments)
        watched = np.isin(self.types, (PLAY, SKIP))
        return np.where(watched, seconds, np.where(self.types == PURCHASE, prices, np.nan))


def record(world: World, sessions: Sessions, steps: Steps, slates: Slates, rng: np.random.Generator) -> EventLog:
    """All events of a batch, by person and time; none at or after the end, none of an item that is gone."""
    log = EventLog.stack([_impressions(sessions, slates), *reactions(sessions.users[steps.sessions], steps, rng)])
    held = (log.items >= 0) & (log.moments < world.settings.end_moment)
    log = log.select(held & world.catalogue.available(log.items, log.moments))
    return log.select(np.lexsort((log.slots, log.moments, log.users)))


def _impressions(sessions: Sessions, slates: Slates) -> EventLog:
    count = len(slates)
    numbers = np.repeat(slates.sessions, SLOTS)
    return EventLog(
        users=sessions.users[numbers],
        items=slates.items.ravel(),
        types=np.full(count * SLOTS, IMPRESSION),
        moments=np.repeat(slates.moments, SLOTS),
        sessions=numbers,
        slots=np.tile(np.arange(SLOTS), count),
        share=np.zeros(count * SLOTS),
    )


def reactions(users: IntArray, steps: Steps, rng: np.random.Generator) -> list[EventLog]:
    """A first event of every step, of users [N]; then cart, purchase and, days later, return where it went so far."""
    first = EventLog(
        users=users,
        items=steps.items,
        types=_FIRST_TYPE[steps.outcomes],
        moments=steps.moments,
        sessions=steps.sessions,
        slots=steps.slots,
        share=steps.enjoyment,
    )
    bought = steps.outcomes == Outcome.BOUGHT
    returned = bought & (rng.random(len(steps)) < _RETURNED * (1 - steps.enjoyment))
    return [
        first,
        _later(first.select(steps.outcomes >= Outcome.CARTED), CART, np.array(8 * SECOND)),
        _later(first.select(bought), PURCHASE, np.array(20 * SECOND)),
        _later(first.select(returned), RETURN, rng.integers(3 * DAY, 20 * DAY, int(returned.sum()))),
    ]


def _later(events: EventLog, kind: int, delay: IntArray) -> EventLog:
    """The same people and items some milliseconds later, as another type of event."""
    return replace(events, types=np.full(len(events), kind), moments=events.moments + delay)

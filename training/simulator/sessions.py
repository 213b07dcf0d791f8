"""When people come, for how long, to the shop or to the streaming service, and on which device."""

from dataclasses import dataclass

import numpy as np

from features.arrays import BoolArray, IntArray
from features.moments import DAY, HOUR, hour_of_day
from training.simulator.latent import stream
from training.simulator.world import World

DEVICES = ("phone", "desktop", "tablet", "tv")
TELEVISION = DEVICES.index("tv")
STEPS = 5
"""Mean number of items that a session takes up."""
MOST_STEPS = 25
EVENTS_PER_SESSION = 11.8
"""Measured; turns the number of events that was asked for into a number of sessions."""
_HOURS = np.array([2, 1, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 5, 5, 4, 4, 5, 6, 8, 10, 11, 10, 7, 4], dtype=np.float64)
_STREAMING_ODDS = np.array([0.4, 0.5, 0.7])
"""Chance that a session is one of streaming, by plan."""


@dataclass(frozen=True)
class Sessions:
    """S sessions, sorted by person and start."""

    users: IntArray
    """[S]"""
    starts: IntArray
    """[S]: milliseconds since the epoch, UTC."""
    lengths: IntArray
    """[S]: steps."""
    streamed: BoolArray
    """[S]: whether it is spent at the streaming service rather than the shop."""
    devices: IntArray
    """[S]: index into DEVICES."""

    def __len__(self) -> int:
        return len(self.users)


def count_sessions(world: World) -> IntArray:
    """[U]: how many sessions each person has, so that about the events asked for come out."""
    settings, people = world.settings, world.people
    present = settings.end_moment - np.maximum(people.first_visit_at, settings.start_moment)
    weights = people.activity * present
    total = round(settings.events / EVENTS_PER_SESSION)
    counts: IntArray = stream(settings.seed, 4).multinomial(total, weights / weights.sum())
    return counts


def plan_sessions(world: World, users: IntArray, counts: IntArray, rng: np.random.Generator) -> Sessions:
    """Sessions of people [A], `counts` [A] of them each; a newcomer's first is the first visit."""
    repeated = np.repeat(users, counts)
    starts = _starts(world, repeated, rng)
    order = np.lexsort((starts, repeated))
    repeated, starts = repeated[order], starts[order]
    first = np.r_[True, repeated[1:] != repeated[:-1]][: len(repeated)]
    visit = world.people.first_visit_at[repeated]
    starts = np.where(first & (visit >= world.settings.start_moment), visit, starts)
    evening = np.where(hour_of_day(starts) >= 18, 0.15, 0.0)
    odds = _STREAMING_ODDS[world.people.plan(repeated, starts)] + evening
    streamed = rng.random(len(repeated)) < odds
    return Sessions(
        users=repeated,
        starts=starts,
        lengths=np.minimum(rng.geometric(1 / STEPS, len(repeated)), MOST_STEPS),
        streamed=streamed,
        devices=_devices(repeated, streamed, rng),
    )


def _starts(world: World, users: IntArray, rng: np.random.Generator) -> IntArray:
    """[S]: any day since the first visit, at an hour at which people come."""
    settings = world.settings
    earliest = np.maximum(world.people.first_visit_at[users], settings.start_moment)
    anywhere = earliest + (rng.random(len(users)) * (settings.end_moment - earliest)).astype(np.int64)
    hours = rng.choice(24, len(users), p=_HOURS / _HOURS.sum())
    usual = anywhere // DAY * DAY + hours * HOUR + (rng.random(len(users)) * HOUR).astype(np.int64)
    inside = (usual >= earliest) & (usual < settings.end_moment)
    starts: IntArray = np.where(inside, usual, anywhere)
    return starts


def _devices(users: IntArray, streamed: BoolArray, rng: np.random.Generator) -> IntArray:
    """[S]: mostly a person's usual device, now and then another; television only for streaming."""
    usual = np.array([0, 0, 1, 1, 2])[(users * 2_654_435_761) % 2**32 % 5]
    other = rng.integers(0, 3, len(users))
    devices = np.where(rng.random(len(users)) < 0.8, usual, other)
    return np.where(streamed & (rng.random(len(users)) < 0.3), TELEVISION, devices)

"""How people go through their sessions: all people of a batch at once, one step of each in every round.

A session opens with a slate of shown items, of which one is taken: where it stood counts as much as taste.
Later steps follow the last item to one of its successors, or browse what is popular; taste decides in both.
"""

from dataclasses import dataclass

import numpy as np

from features.arrays import BoolArray, IntArray
from features.moments import DAY, SECOND
from training.simulator.catalogue import SUCCESSOR_ODDS
from training.simulator.draws import PopularityDraw, gumbel, pick
from training.simulator.latent import RealArray
from training.simulator.reactions import REST_DAYS, pauses, react
from training.simulator.records import Records
from training.simulator.sessions import Sessions
from training.simulator.world import World

FOLLOWED = 0.5
"""Chance that a later step goes to a successor of the last item rather than browse."""
BROWSED = 64
"""Items drawn by popularity, among which taste decides."""
SLOTS = 6
"""Items on a slate."""
EXAMINED = 1.0 / (1 + np.arange(SLOTS)) ** 0.8
"""Chance, relative to the first, that a slot is looked at at all."""
BETWEEN_SESSIONS = 1_800 * SECOND


@dataclass(frozen=True)
class Steps(Records):
    """N items that were taken up; moments in milliseconds since the epoch, UTC."""

    sessions: IntArray
    """[N]: number of the session in its batch."""
    items: IntArray
    """[N]"""
    moments: IntArray
    """[N]"""
    slots: IntArray
    """[N]: slot of the slate, from 0, or -1 where the item was not on one."""
    outcomes: IntArray
    """[N]: code of an `Outcome`."""
    enjoyment: RealArray
    """[N]: 0 to 1."""


@dataclass(frozen=True)
class Slates(Records):
    """R slates as they were shown, one at the opening of each session."""

    sessions: IntArray
    """[R]: number of the session in its batch."""
    moments: IntArray
    """[R]"""
    items: IntArray
    """[R, SLOTS]: -1 where a slot stayed empty."""


class Behaviour:
    """The habits of a world's people. Holds nothing of a person between two batches."""

    def __init__(self, world: World) -> None:
        streamed = world.catalogue.streamed
        self._world = world
        self._draws = {kind: PopularityDraw(world, streamed == kind) for kind in (False, True)}

    def walk(self, sessions: Sessions, rng: np.random.Generator) -> tuple[Steps, Slates]:
        """Let people live through their sessions, which hold all of each person's, sorted by start."""
        return _Walk(self._world, self._draws, sessions, rng).run()


class _Walk:
    """The state of one batch: A people, I items, and where each person stands."""

    def __init__(
        self, world: World, draws: dict[bool, PopularityDraw], sessions: Sessions, rng: np.random.Generator
    ) -> None:
        self._world, self._draws, self._sessions, self._rng = world, draws, sessions, rng
        self._users, self._cursor = np.unique(sessions.users, return_index=True)
        self._ends = np.r_[self._cursor[1:], len(sessions)]
        self._step = np.zeros(len(self._users), dtype=np.int64)
        self._clock = np.zeros(len(self._users), dtype=np.int64)
        self._last = np.full(len(self._users), -1)
        self._rests_until = np.zeros((len(self._users), len(world.catalogue)), dtype=np.int64)  # [A, I]

    def run(self) -> tuple[Steps, Slates]:
        """Round after round, until everybody has gone."""
        steps, slates = [], []
        while len(active := np.flatnonzero(self._cursor < self._ends)):
            slate, step = self._round(active)
            slates.append(slate)
            steps.append(step)
        return Steps.stack(steps), Slates.stack(slates)

    def _round(self, active: IntArray) -> tuple[Slates, Steps]:
        """One step of the active people: the slates that opened, and the items taken up."""
        session = self._cursor[active]
        opens = self._step[active] == 0
        resumed = np.maximum(self._sessions.starts[session], self._clock[active] + BETWEEN_SESSIONS)
        moments = np.where(opens, resumed, self._clock[active])
        slate, slot, item = self._choose_from_slate(active[opens], moments[opens])
        slots, items = np.full(len(active), -1), np.full(len(active), -1)
        slots[opens], items[opens] = slot, item
        items[~opens] = self._go_on(active[~opens], moments[~opens])
        shown = moments[opens]
        moments = moments + np.where(opens, self._rng.integers(5, 25, len(active)) * SECOND, 0)
        outcomes, enjoyment = self._take(active, items, moments)
        steps = Steps(session, items, moments, slots, outcomes, enjoyment)
        return Slates(session[opens], shown, slate), steps.select(items >= 0)

    def _choose_from_slate(self, people: IntArray, moments: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """[R, SLOTS] slate, [R] slot and [R] item taken: one that was looked at, and is to one's taste."""
        candidates, logits = self._browse(people, moments)
        noisy = gumbel(self._rng, np.where(_repeated(candidates), -np.inf, logits))
        columns = np.argpartition(-noisy, SLOTS, axis=1)[:, :SLOTS]
        columns = self._rng.permuted(columns, axis=1)
        slate = np.take_along_axis(candidates, columns, axis=1)
        filled = np.isfinite(np.take_along_axis(noisy, columns, axis=1))
        liking = np.where(filled, np.take_along_axis(logits, columns, axis=1), -np.inf)
        slots, items = pick(slate, gumbel(self._rng, liking + np.log(EXAMINED)))
        return np.where(filled, slate, -1), slots, items

    def _go_on(self, people: IntArray, moments: IntArray) -> IntArray:
        """[A] items: a successor of the last one, or one found by browsing."""
        items = np.full(len(people), -1)
        follows = (self._rng.random(len(people)) < FOLLOWED) & (self._last[people] >= 0)
        items[follows] = self._follow(people[follows], moments[follows])
        browses = items < 0
        candidates, logits = self._browse(people[browses], moments[browses])
        items[browses] = pick(candidates, gumbel(self._rng, logits))[1]
        return items

    def _follow(self, people: IntArray, moments: IntArray) -> IntArray:
        """[A] successors of the last items; -1 where none can be had."""
        successors = self._world.catalogue.successors[self._last[people]]
        logits = self._liking(people, successors, moments) + np.log(SUCCESSOR_ODDS)
        return pick(successors, gumbel(self._rng, logits))[1]

    def _browse(self, people: IntArray, moments: IntArray) -> tuple[IntArray, RealArray]:
        """[A, BROWSED] popular items of the side that a person is on, and their logits."""
        candidates = np.empty((len(people), BROWSED), dtype=np.int64)
        streamed = self._sessions.streamed[self._cursor[people]]
        days = self._world.day(moments)
        for kind, draw in self._draws.items():
            candidates[streamed == kind] = draw(self._rng, days[streamed == kind], BROWSED)
        return candidates, self._liking(people, candidates, moments)

    def _liking(self, people: IntArray, items: IntArray, moments: IntArray) -> RealArray:
        """float64 [A, N]: true preferences; -inf for what cannot be had, or was had too recently."""
        liking = self._world.preferences(self._users[people], items, moments)
        rested = self._rests_until[people[:, None], items] <= moments[:, None]
        return np.where(rested & self._world.catalogue.available(items, moments[:, None]), liking, -np.inf)

    def _take(self, people: IntArray, items: IntArray, moments: IntArray) -> tuple[IntArray, RealArray]:
        """[A] outcomes and [A] enjoyment of the items (-1 for none); everybody moves on by a step."""
        liking = self._world.preferences(self._users[people], items[:, None], moments)[:, 0]
        streamed = self._sessions.streamed[self._cursor[people]]
        outcomes, enjoyment = react(self._rng, liking, streamed)
        taken = items >= 0
        rest = np.round(REST_DAYS[outcomes] * DAY).astype(np.int64)
        self._rests_until[people[taken], items[taken]] = (moments + rest)[taken]
        self._last[people[taken]] = items[taken]
        self._clock[people] = moments + pauses(self._rng, self._world.catalogue.duration[items], streamed, enjoyment)
        self._step[people] += 1
        done = self._step[people] == self._sessions.lengths[self._cursor[people]]
        self._cursor[people[done]] += 1
        self._step[people[done]] = 0
        return outcomes, enjoyment


def _repeated(items: IntArray) -> BoolArray:
    """bool [A, N]: whether an equal item stands further left in its row."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    again = np.zeros(items.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return again

"""People who are shown lists: a policy puts items in order, a slot is looked at or not, and what is liked is taken.

The examination hypothesis ("Unbiased learning-to-rank with biased feedback", Joachims et al., WSDM 2017): an item is
taken when its slot is examined, by a known chance that falls with the slot and knows nothing of the item, and when it
is liked, by a chance that knows nothing of the slot. The second is the truth that a ranker is after. All of it goes
into a store as a service puts it there, so that `export-log` writes it as it writes a service's logs.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from features.arrays import BoolArray, IntArray
from features.dataset import DatasetConfig
from features.event_details import Detail
from features.moments import DAY, SECOND
from features.person import Person
from features.strict import StrictConfig
from serving.answers import Answer, Query, RankedItem
from serving.api.requests import RecommendRequest
from serving.events.served import served_row
from serving.pipeline import Pipeline
from serving.retrieval.eligibility import open_to
from serving.state.protocol import State, StoredEvent
from serving.state.served_log import ServedRow
from training.simulator.behaviour import Steps
from training.simulator.draws import gumbel
from training.simulator.latent import RealArray, stream
from training.simulator.log import EVENT_TYPES, RETURN, EventLog, reactions
from training.simulator.reactions import react
from training.simulator.sessions import DEVICES
from training.simulator.world import World

RESERVE = 2.0
"""Logits that an item must be liked above what is usual to be taken by every other person who looks at it."""
AT_ONCE = 50
"""Lists that are answered before what came of them is stored: an answer does not know of everything that happened."""

Policy = Callable[[Person, int, int], Answer]
"""What puts items in order: (person, moment, how many) -> answer."""


class ExposureSettings(StrictConfig):
    """How lists are shown. Equal settings, worlds and policies give equal logs."""

    lists: int = Field(default=1_000, ge=1)
    """Lists that are shown, evenly over the days."""
    slots: int = Field(default=10, ge=2, le=100)
    """Items of a list."""
    eta: float = Field(default=1.0, ge=0)
    """Position bias: slot s, from 1, is examined with chance 1 / s ** eta; 0 for everybody looks at everything."""
    days: int = Field(default=5, ge=1)
    """Days after the end of the world's window in which it happens."""
    seed: int = Field(default=1, ge=0)
    """Everything random follows from it."""

    @property
    def examined(self) -> RealArray:
        """float64 [slots]: chance that a slot is looked at."""
        chances: RealArray = 1.0 / np.arange(1, self.slots + 1, dtype=np.float64) ** self.eta
        return chances


class Exposed(NamedTuple):
    """What came of it."""

    shown: IntArray
    """int64 [slots]: items shown."""
    taken: IntArray
    """int64 [slots]: items taken."""


def liked(world: World, users: IntArray, items: IntArray, moments: IntArray) -> RealArray:
    """float64 [A, N]: the chance that people [A] take items [A, N] at moments [A] once they look at them: the truth."""
    chances: RealArray = 1 / (1 + np.exp(RESERVE - world.preferences(users, items, moments)))
    return chances


def by_model(pipeline: Pipeline) -> Policy:
    """The order of a bundle."""
    return lambda person, moment, count: pipeline.recommend(person, Query(k=count), moment)


def by_model_with_noise(pipeline: Pipeline) -> Policy:
    """Items drawn one after another from three times as many that a bundle puts first, by their place there.

    The draw is the moment's. It is what tells the slot from the item that a bundle would always put there.
    """

    def answer(person: Person, moment: int, count: int) -> Answer:
        items = pipeline.recommend(person, Query(k=3 * count), moment).items
        drawn = gumbel(np.random.default_rng(moment), -np.arange(len(items)) / (count / 2))
        return Answer(tuple(items[place] for place in np.argsort(-drawn, kind="stable")[:count].tolist()))

    return answer


def by_popularity(pipeline: Pipeline) -> Policy:
    """Items drawn evenly from what may be shown, as a page of some shelf has them, the most popular first.

    The draw is the moment's; popular is what most of a bundle's training events are on.
    """
    bundle = pipeline.bundle
    popularity = np.asarray(bundle.statistics.popularity)

    def answer(person: Person, moment: int, count: int) -> Answer:
        rows = np.flatnonzero(open_to(bundle.schema, bundle.catalogue, person, moment).mask(len(popularity)))
        drawn = np.random.default_rng(moment).choice(rows, min(count, len(rows)), replace=False)
        chosen = drawn[np.argsort(-popularity[drawn], kind="stable")].tolist()
        ids = [bundle.schema.items.id_of(row) for row in chosen]
        scores = popularity[chosen].tolist()
        return Answer(tuple(RankedItem(*one, {}, ("popular",)) for one in zip(ids, scores, strict=True)))

    return answer


def expose(
    world: World, dataset: DatasetConfig, state: State, policy: Policy, settings: ExposureSettings, name: str
) -> Exposed:
    """Show lists to a world's people and store what was served, shown and done; `name` is that of the policy.

    The store must hold the world's events.
    """
    rng = stream(settings.seed, 7)
    shown, taken = np.zeros((2, settings.slots), dtype=np.int64)
    for number, (users, moments) in enumerate(_visits(world, settings, rng)):
        asked = [f"x{number * AT_ONCE + place:08d}" for place in range(len(users))]
        visits = zip(asked, _ids(world, users, moments), moments.tolist(), rng.choice(DEVICES, len(users)), strict=True)
        rows = [_answered(dataset, state, policy, settings.slots, *visit, name) for visit in visits]
        items = np.full((len(rows), settings.slots), -1)
        for place, row in enumerate(rows):
            items[place, : len(row.items)] = [int(one.item_id[1:]) for one in row.items]
        log, took = _looked_at(world, settings, users, items, moments, rng)
        state.served_log.add(rows)
        state.append([*_impressions(rows), *_actions(world, log, rows)])
        shown += (items >= 0).sum(axis=0)
        taken += took.sum(axis=0)
    return Exposed(shown, taken)


def _visits(world: World, settings: ExposureSettings, rng: np.random.Generator) -> Iterator[tuple[IntArray, IntArray]]:
    """People and moments of the lists, in the order of time, some at once."""
    end = world.settings.end_moment
    moments = np.sort(rng.integers(end, end + settings.days * DAY, settings.lists))
    users = rng.choice(len(world.people), settings.lists, p=world.people.activity / world.people.activity.sum())
    for start in range(0, settings.lists, AT_ONCE):
        yield users[start : start + AT_ONCE], moments[start : start + AT_ONCE]


def _ids(world: World, users: IntArray, moments: IntArray) -> list[tuple[str, str]]:
    """The field and the id under which people are known: of a user, or of a visitor before the first login."""
    joined = world.people.joined_at[users] <= moments
    return [
        ("user_id", f"u{user:05d}") if known else ("anonymous_id", f"a{user:05d}")
        for user, known in zip(users.tolist(), joined.tolist(), strict=True)
    ]


def _answered(
    dataset: DatasetConfig,
    state: State,
    policy: Policy,
    count: int,
    request_id: str,
    who: tuple[str, str],
    moment: int,
    device: str,
    name: str,
) -> ServedRow:
    request = RecommendRequest.model_validate({who[0]: who[1], "k": count, "context": {"device": device}})
    person = state.person(request.user_id, request.anonymous_id, without=dataset.exposures)
    known = Person(person.events, person.taken, person.attributes, person.changes, request.context.values())
    answer = policy(known, moment, count)
    row = served_row(
        request,
        answer,
        told=(),
        request_id=request_id,
        moment=moment,
        answered_for=moment,
        bundle=name,
        seen=person.seen,
    )
    return row._replace(policy=name)


def _looked_at(
    world: World,
    settings: ExposureSettings,
    users: IntArray,
    items: IntArray,
    moments: IntArray,
    rng: np.random.Generator,
) -> tuple[EventLog, BoolArray]:
    """What people [A] do with items [A, slots], -1 for none, and bool [A, slots] which they took."""
    examined = rng.random(items.shape) < settings.examined
    took = examined & (rng.random(items.shape) < liked(world, users, items, moments)) & (items >= 0)
    who, slots = np.nonzero(took)
    chosen = items[who, slots]
    liking = world.preferences(users[who], chosen[:, None], moments[who])[:, 0]
    outcomes, enjoyment = react(rng, liking, world.catalogue.streamed[chosen])
    after = moments[who] + (10 + 60 * slots) * SECOND
    log = EventLog.stack(reactions(users[who], Steps(who, chosen, after, slots, outcomes, enjoyment), rng))
    return log.select(np.flatnonzero(log.types != RETURN)), took


def _impressions(rows: list[ServedRow]) -> list[StoredEvent]:
    return [
        _event(row, f"{row.request_id}-{place}", item.item_id, EVENT_TYPES[0], row.moment + SECOND, place)
        for row in rows
        for place, item in enumerate(row.items, start=1)
    ]


def _actions(world: World, log: EventLog, rows: list[ServedRow]) -> list[StoredEvent]:
    values = log.values(world).tolist()
    found = []
    for place, value in enumerate(values):
        row, slot = rows[int(log.sessions[place])], int(log.slots[place]) + 1
        kind, item = EVENT_TYPES[int(log.types[place])], f"i{int(log.items[place]):05d}"
        event = _event(row, f"{row.request_id}-{slot}-{kind}", item, kind, int(log.moments[place]), slot)
        found.append(event._replace(value=value))
    return found


def _event(row: ServedRow, event_id: str, item_id: str, kind: str, moment: int, slot: int) -> StoredEvent:
    details: dict[Detail, float] = {"position": slot}
    context: dict[str, Any] = dict(row.query["context"])
    return StoredEvent(
        event_id,
        item_id,
        kind,
        moment,
        row.user_id,
        row.anonymous_id,
        context=context,
        request_id=row.request_id,
        details=details,
    )

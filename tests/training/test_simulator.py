"""The simulated world: same seed same bytes, a truth that shows in the data, and nothing to learn in the null."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.arrays import IntArray
from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.moments import DAY, HOUR, hour_of_day
from features.strict import read_yaml
from training.simulator import SimulatorSettings, World, simulate
from training.simulator.catalogue import FOREVER
from training.simulator.latent import AXES
from training.simulator.log import EVENT_TYPES
from training.simulator.people import AGE_GROUPS

END = datetime(2026, 6, 1, 12, tzinfo=UTC)
TAKEN = ("view", "play", "skip")
"""The first event of every item that was taken up, in the orderly world."""


SMALL = {"events": 30_000, "users": 500, "items": 300, "days": 30, "end": END}


def settings(**changes: Any) -> SimulatorSettings:
    return SimulatorSettings.parse({**SMALL, **changes})


class Written:
    """A world on disk, with its tables read once."""

    def __init__(self, chosen: SimulatorSettings, directory: Path) -> None:
        self.world = World.from_settings(chosen)
        self.config = simulate(chosen, directory)
        self.directory = directory
        self.events, self.users, self.items, self.links, self.plans, self.prices = (
            pd.read_parquet(directory / f"{name}.parquet")
            for name in ("events", "users", "items", "links", "user_plans", "item_prices")
        )


@pytest.fixture(scope="module")
def orderly(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(settings(), tmp_path_factory.mktemp("orderly"))


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(settings(world="null"), tmp_path_factory.mktemp("null"))


@pytest.fixture(params=["orderly", "null"])
def either(request: pytest.FixtureRequest) -> Written:
    written: Written = request.getfixturevalue(request.param)
    return written


def rows(ids: pd.Series) -> IntArray:
    """int64: the number in each id, such as 12 in u00012."""
    return np.array([int(one[1:]) for one in ids], dtype=np.int64)


def moments(times: pd.Series) -> IntArray:
    milliseconds: IntArray = times.dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    return milliseconds


def pairs(written: Written) -> pd.DataFrame:
    """Items taken one after another in a session: columns item, next."""
    taken = written.events[written.events.event_type.isin([*TAKEN, "cart", "purchase"])]
    taken = taken.sort_values(["user_id", "timestamp", "event_id"])
    taken = taken[taken.item_id.ne(taken.item_id.shift()) | taken.session_id.ne(taken.session_id.shift())]
    following = taken[["item_id", "session_id"]].shift(-1)
    together = taken.session_id.eq(following.session_id)
    return pd.DataFrame({"item": rows(taken.item_id[together]), "next": rows(following.item_id[together])})


def successor_lift(written: Written) -> float:
    """How much more often a likely successor follows than its share of all items taken would say."""
    steps, successors = pairs(written), written.world.catalogue.successors
    follows = (successors[steps.item] == steps.next.to_numpy()[:, None]).any(axis=1).mean()
    share = np.bincount(steps.next, minlength=len(successors)) / len(steps)
    return float(follows / share[successors[steps.item]].sum(axis=1).mean())


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(orderly: Written, tmp_path: Path) -> None:
    simulate(settings(), tmp_path / "again")
    files = sorted(path.name for path in orderly.directory.iterdir())
    assert files == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (orderly.directory / name).read_bytes(), name
    simulate(settings(seed=2), tmp_path / "other")
    assert not pd.read_parquet(tmp_path / "other" / "items.parquet").equals(orderly.items)


def test_sizes_are_those_asked_for(either: Written) -> None:
    assert len(either.events) == pytest.approx(30_000, rel=0.1)
    assert len(either.users) == 500
    assert len(either.items) == 300
    assert either.events.event_id.is_unique
    recorded = json.loads((either.directory / "simulation.json").read_text())
    assert recorded["written_events"] == len(either.events)


@pytest.mark.parametrize("small", [{"events": 1_000}, {"events": 1_000, "users": 10, "items": 60, "days": 7}])
@pytest.mark.parametrize("world", ["orderly", "null"])
def test_the_smallest_worlds_can_be_written(small: dict[str, int], world: str, tmp_path: Path) -> None:
    simulate(SimulatorSettings.parse({"world": world, "end": END, **small}), tmp_path)
    assert len(pd.read_parquet(tmp_path / "events.parquet")) == pytest.approx(1_000, rel=0.4)


def test_every_event_lies_in_the_window_and_in_the_life_of_its_item(either: Written) -> None:
    at, items = moments(either.events.timestamp), rows(either.events.item_id)
    chosen = either.world.settings
    assert chosen.start_moment <= at.min()
    assert at.max() < chosen.end_moment
    life = either.items.iloc[items]
    assert (either.events.timestamp.to_numpy() >= life.published_at.to_numpy()).all()
    gone = life.available_until.notna().to_numpy()
    assert np.array_equal(~gone, either.world.catalogue.available_until[items] == FOREVER)
    assert gone.any() == (either.world.settings.world == "orderly")
    assert (either.events.timestamp.to_numpy() < life.available_until.to_numpy())[gone].all()


def test_new_items_arrive_and_are_taken_up(orderly: Written) -> None:
    start = pd.Timestamp(orderly.world.settings.start_moment, unit="ms", tz="UTC")
    new = orderly.items.item_id[orderly.items.published_at > start]
    assert 0.2 < len(new) / len(orderly.items) < 0.4
    assert orderly.events[orderly.events.event_type == "play"].item_id.isin(new).any()


def test_event_types_have_their_values(either: Written) -> None:
    events = either.events
    assert set(events.event_type) == set(EVENT_TYPES)
    valued = events.event_type.isin(["play", "skip", "purchase"])
    assert events.value[valued].notna().all()
    assert events.value[~valued].isna().all()
    kinds = either.items.kind.iloc[rows(events.item_id)].to_numpy()
    assert (kinds[events.event_type.isin(["play", "skip"])] == "streaming").all()
    assert (kinds[events.event_type.isin(["view", "cart", "purchase", "return"])] == "shop").all()


def test_a_purchase_costs_the_price_of_its_moment(orderly: Written) -> None:
    bought = orderly.events[orderly.events.event_type == "purchase"].sort_values("timestamp")
    prices = orderly.prices.sort_values("changed_at")
    known = pd.merge_asof(bought, prices, left_on="timestamp", right_on="changed_at", by="item_id")
    assert np.array_equal(known.value, known.price)
    assert prices.groupby("item_id").price.nunique().max() > 1
    assert not prices.duplicated(["item_id", "changed_at"]).any()


def test_a_higher_slot_is_taken_more_often(either: Written) -> None:
    on_slate = either.events[either.events.position.notna()]
    shown = on_slate[on_slate.event_type == "impression"]
    taken = on_slate[on_slate.event_type != "impression"].drop_duplicates("request_id")
    rate = taken.position.value_counts() / shown.position.value_counts()
    assert rate[1] > 1.2 * rate[2] > 1.2 * rate[4] > 1.2 * 0.8 * rate[6]
    assert set(taken.request_id) <= set(shown.request_id)
    assert not shown.duplicated(["request_id", "position"]).any()


def test_what_was_taken_from_a_slate_was_on_it(orderly: Written) -> None:
    on_slate = orderly.events[orderly.events.position.notna()]
    shown = on_slate[on_slate.event_type == "impression"]
    taken = on_slate[on_slate.event_type != "impression"]
    assert not shown.duplicated(["request_id", "item_id"]).any()
    found = taken.merge(shown, on=["request_id", "item_id", "position"], suffixes=("", "_shown"))
    assert len(found) == len(taken)
    assert (found.timestamp > found.timestamp_shown).all()


def test_the_repeat_rules_hold_in_the_orderly_world(orderly: Written) -> None:
    types = read_yaml(orderly.config)["dataset"]["types"]
    for name in ("play", "purchase"):
        days = types[name]["repeat"]["after_days"]
        events = orderly.events[orderly.events.event_type == name].sort_values("timestamp")
        assert not (events.groupby(["user_id", "item_id"]).timestamp.diff() < pd.Timedelta(days=days)).any()


def test_anonymous_visitors_log_in_later(either: Written) -> None:
    events, links = either.events, either.links
    anonymous = events.user_id.str.startswith("a")
    assert 0.005 < anonymous.mean() < 0.2
    assert set(links.anonymous_id) == set(events.user_id[anonymous])
    assert set(events.user_id[~anonymous]) <= set(either.users.user_id)
    assert set(links.user_id) <= set(either.users.user_id)
    before = events[anonymous].rename(columns={"user_id": "anonymous_id"}).merge(links, on="anonymous_id")
    assert (before.timestamp < before.linked_at).all()
    after = events.merge(links, on="user_id")
    assert len(after)
    assert (after.timestamp >= after.linked_at).all()


def test_plans_change_and_begin_when_a_person_joins(orderly: Written) -> None:
    first = orderly.plans.sort_values("changed_at").drop_duplicates("user_id")
    first = first.merge(orderly.users, on="user_id")
    assert (first.changed_at == first.joined_at).all()
    assert orderly.plans.user_id.duplicated().mean() > 0.1


def test_demographics_tell_of_taste_but_not_all_of_it() -> None:
    world = World.from_settings(settings(users=3_000))
    people, start = world.people, world.settings.start_moment
    tastes = world.taste(np.arange(len(people)), np.full(len(people), start))
    groups = people.genders * AGE_GROUPS + people.age_groups
    means = pd.DataFrame(tastes).groupby(groups).transform("mean").to_numpy()
    explained = means.var(axis=0).sum() / tastes.var(axis=0).sum()
    assert 0.15 < explained < 0.7


def test_titles_and_tags_tell_of_the_latent_place(orderly: Written) -> None:
    vectors = orderly.world.catalogue.vectors
    for item, tags in enumerate(orderly.items.tags):
        axis = np.abs(vectors[item]).argmax()
        word = AXES[axis][int(vectors[item, axis] > 0)]
        assert tags.split("|")[0] == word
        assert orderly.items.title[item].startswith(word.title())


def test_the_truth_can_be_asked_and_moves_with_time() -> None:
    world, items = World.from_settings(settings()), np.array([3, 1, 4])
    at = world.settings.start_moment
    preference = world.preference(7, items, at)
    assert preference.dtype == np.float64
    assert preference.shape == (3,)
    assert np.array_equal(preference, World.from_settings(settings()).preference(7, items, at))
    assert np.array_equal(preference[::-1], world.preference(7, items[::-1], at))
    for later in (6 * HOUR, 20 * DAY):
        assert not np.allclose(preference, world.preference(7, items, at + later))


def test_people_take_what_they_prefer(orderly: Written) -> None:
    world = orderly.world
    taken = orderly.events[orderly.events.event_type.isin(TAKEN) & orderly.events.user_id.str.startswith("u")]
    users, items, at = rows(taken.user_id), rows(taken.item_id), moments(taken.timestamp)
    own = world.preferences(users, items[:, None], at)
    strangers = world.preferences(np.random.default_rng(0).permutation(users), items[:, None], at)
    assert own.mean() > strangers.mean() + 0.5


def test_order_tells_much_in_the_orderly_world_and_nothing_in_the_null(orderly: Written, null: Written) -> None:
    assert successor_lift(orderly) > 10
    assert successor_lift(null) == pytest.approx(1, abs=0.15)


def test_taste_tells_nothing_in_the_null_world(null: Written) -> None:
    """People like their own items no more than those that others took on the same day."""
    world = null.world
    taken = null.events[null.events.user_id.str.startswith("u")]
    users, items, at = rows(taken.user_id), rows(taken.item_id), moments(taken.timestamp)
    exchanged = items.copy()
    for day in np.unique(world.day(at)):
        same = world.day(at) == day
        exchanged[same] = np.random.default_rng(day).permutation(items[same])
    own, others = (world.preferences(users, column[:, None], at)[:, 0] for column in (items, exchanged))
    assert abs((own - others).mean()) < 4 * (own - others).std() / np.sqrt(len(own))


def test_the_hour_tells_in_the_orderly_world_only(orderly: Written, null: Written) -> None:
    """Chi-square of category by hour, over its degrees of freedom: about 1 where they are independent."""

    def dependence(written: Written) -> float:
        taken = written.events[written.events.event_type.isin([*TAKEN, "impression"])]
        categories = written.world.catalogue.categories[rows(taken.item_id)]
        counts = pd.crosstab(hour_of_day(moments(taken.timestamp)) // 3, categories).to_numpy()
        expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
        freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        return float(((counts - expected) ** 2 / expected).sum() / freedom)

    assert dependence(orderly) > 3
    assert dependence(null) < 1.6


def test_nothing_comes_or_goes_in_the_null_world(null: Written) -> None:
    """Else a model might rightly beat popularity, by knowing what is new or gone."""
    assert (null.world.popularity == null.world.popularity[0]).all()
    assert null.items.published_at.max() <= null.events.timestamp.min()


def test_null_items_follow_the_popularity_of_their_day(null: Written) -> None:
    world = null.world
    days = world.day(moments(null.events.timestamp))
    expected = np.bincount(days, minlength=len(world.popularity)) @ world.popularity
    counted = np.bincount(rows(null.events.item_id), minlength=len(world.catalogue))
    frequent = expected > 20
    assert ((counted - expected)[frequent] ** 2 / expected[frequent]).mean() < 1.4


def test_the_config_names_tables_and_columns_that_exist(either: Written) -> None:
    dataset = DatasetConfig.parse(read_yaml(either.config)["dataset"])
    assert set(dataset.types) == set(EVENT_TYPES)
    events = dataset.events
    named = {events.user, events.item, events.type, events.id, events.value, events.session, *events.context}
    assert named | {dataset.order.time} <= set(either.events.columns)
    for table in (dataset.users, dataset.items):
        for name, column in table.columns.items():
            frame = pd.read_parquet(either.directory / str(column.path or table.path))
            assert {table.id, name} | ({column.time} if column.time else set()) <= set(frame.columns)
    available = {dataset.items.available.from_, dataset.items.available.to, dataset.items.title}
    assert available <= set(either.items.columns)


def test_the_end_is_the_current_hour_by_default_and_is_recorded(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    chosen = SimulatorSettings(events=1_000)
    assert chosen.end.minute == chosen.end.second == chosen.end.microsecond == 0
    assert 0 <= (before - chosen.end).total_seconds() <= 3_601
    simulate(chosen, tmp_path)
    recorded = json.loads((tmp_path / "simulation.json").read_text())
    assert datetime.fromisoformat(recorded.pop("end")) == chosen.end
    del recorded["written_events"]
    assert SimulatorSettings.parse({**recorded, "end": chosen.end}) == chosen


def test_users_and_items_grow_with_the_events() -> None:
    sizes = [SimulatorSettings(events=events, end=END) for events in (1_000, 100_000, 10_000_000)]
    assert [one.users for one in sizes] == [50, 2_000, 200_000]
    assert [one.items for one in sizes] == [158, 1_581, 15_811]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"events": 10}, "events"),
        ({"world": "shop"}, "world"),
        ({"end": "2026-06-01T12:00:00"}, "end"),
        ({"size": 10}, "size"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SimulatorSettings.parse(wrong)
    assert refused.value.field == field

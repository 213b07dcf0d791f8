"""The benchmark's world is a real bundle, small here; its shop, store and crowd are what they say.

Tests that build the bundle export three graphs, which takes longest: they are slow ones.
"""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving.crowd import Crowd, user_id
from benchmarks.serving.people import LONGEST, build_people, histories
from benchmarks.serving.shop import NEWEST, Shop, make_shop
from benchmarks.serving.stages import measure, summary
from benchmarks.serving.swap import twin
from benchmarks.serving.traffic import MIX, mixed, read_calls, recommends, write_calls
from benchmarks.serving.walk import Walk
from benchmarks.serving.world import World, build_world
from features.vocabulary import RESERVED
from serving.answers import Query
from serving.bundle import open_bundle
from serving.desk.desk import Desk
from serving.golden import check_golden
from serving.pipeline import Pipeline
from serving.situation import situation
from serving.state import open_item_log, open_state
from training.export.golden import simulated_people

ITEMS, USERS = 300, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def world(folder: Path) -> World:
    return build_world(ITEMS, folder)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop(ITEMS, groups=8, seed=0)


@pytest.fixture(scope="module")
def state(folder: Path, shop: Shop) -> str:
    return build_people(shop, folder, USERS)


@pytest.fixture(scope="module")
def pipeline(world: World) -> Pipeline:
    return Pipeline(open_bundle(world.bundle))


@pytest.mark.slow
def test_the_bundle_opens_and_gives_its_golden_answers(pipeline: Pipeline) -> None:
    assert check_golden(pipeline) > 20
    assert len(pipeline.bundle.catalogue) == ITEMS + RESERVED
    assert np.asarray(pipeline.bundle.catalogue.vectors).shape[1] == 64
    assert (np.asarray(pipeline.bundle.catalogue.available_to) < NEWEST).any()


@pytest.mark.slow
def test_everybody_gets_a_full_list(pipeline: Pipeline) -> None:
    for person, moment in simulated_people(pipeline.bundle, 5):
        answer = pipeline.recommend(person, Query(k=20), moment)
        assert len(answer.items) == 20
        assert len({round(one.score, 9) for one in answer.items}) > 10


@pytest.mark.slow
def test_users_stand_near_what_they_took_last(pipeline: Pipeline) -> None:
    for person, moment in simulated_people(pipeline.bundle, 6)[3:]:
        here = situation(pipeline.bundle, person, moment)
        cosines = pipeline.bundle.catalogue.vectors @ here.user_vector
        assert cosines[here.history.item_rows[-1]] > np.quantile(cosines, 0.9)


@pytest.mark.slow
def test_what_was_built_is_found_again(world: World, folder: Path, state: str, shop: Shop) -> None:
    before = [path.stat().st_mtime_ns for path in (world.bundle / "manifest.json", folder / "state.db")]
    assert build_world(ITEMS, folder).report == world.report
    assert build_people(shop, folder, USERS) == state
    assert [path.stat().st_mtime_ns for path in (world.bundle / "manifest.json", folder / "state.db")] == before


@pytest.mark.slow
def test_a_twin_is_the_same_bundle_under_another_name(world: World, tmp_path: Path, pipeline: Pipeline) -> None:
    other = open_bundle(twin(world.bundle, tmp_path / "twin"))
    assert other.name != pipeline.bundle.name
    assert check_golden(Pipeline(other)) > 20
    assert open_bundle(world.bundle).name == pipeline.bundle.name


def test_people_are_in_the_store_as_they_were_drawn(state: str, shop: Shop) -> None:
    past = histories(shop, USERS, seed=0)
    store = open_state(state)
    for number in range(USERS):
        mine = past.users == number
        person = store.person(user_id(number))
        assert list(person.events.item_ids) == shop.item_ids[past.items[mine]].tolist()
        assert person.attributes["country"]
    store.close()


def test_lengths_of_histories_are_even_in_their_logarithm(shop: Shop) -> None:
    lengths = np.bincount(histories(shop, 4_000, seed=1).users, minlength=4_000)
    assert lengths.min() == 0
    assert 150 < lengths.max() <= LONGEST
    # A third of log(201) each: up to 5.86, up to 34.3, and beyond, one event less each.
    assert np.histogram(lengths, [0, 4.86, 33.3, 201])[0] == pytest.approx([4000 / 3] * 3, rel=0.15)


def test_moments_grow_and_nothing_lies_in_the_future(shop: Shop) -> None:
    past = histories(shop, 50, seed=2)
    assert (np.diff(past.moments) >= 0).all()
    assert past.moments[-1] <= NEWEST
    assert (shop.popularity[past.items] > 0).all()


def test_a_walk_stays_in_its_group_and_leaves_it_for_what_is_popular() -> None:
    popularity = np.array([0.0, 0.1, 0.2, 0.0, 0.7])
    walk = Walk.over(np.array([0, 0, 0, 1, 1]), popularity)
    draw = np.random.default_rng(0)
    assert set(walk.near(np.zeros(100, dtype=np.int64), draw).tolist()) == {1, 2}
    assert set(walk.near(np.full(100, 3), draw).tolist()) == {4}
    counts = np.bincount(walk.popular(20_000, draw), minlength=5) / 20_000
    assert counts == pytest.approx(popularity, abs=0.02)


def test_nobody_is_asked_twice() -> None:
    crowd = Crowd(50)
    taken = [*crowd.take(20), *crowd.take(30)]
    assert len(set(taken)) == 50
    with pytest.raises(BenchmarkError, match=r"1 more users are needed, and 0 of 50"):
        crowd.take(1)
    crowd.again()
    assert crowd.take(50) == taken


def test_the_mix_is_the_one_that_is_told(tmp_path: Path) -> None:
    calls = mixed(2_000, Crowd(2_000), ["a", "b"], seed=0)
    shares = {kind: sum(one.kind == kind for one in calls) / len(calls) for kind in MIX}
    assert shares == pytest.approx(MIX, abs=0.02)
    assert len({one.body["events"][0]["event_id"] for one in calls if one.kind == "events"}) > 50
    write_calls(calls, tmp_path / "calls.jsonl")
    assert read_calls(tmp_path / "calls.jsonl") == calls


@pytest.mark.slow
def test_stages_add_up_to_the_whole(pipeline: Pipeline, state: str) -> None:
    desk = Desk(pipeline, open_state(state), open_item_log(state))
    told = measure(desk, recommends(user_id(number) for number in range(10)))
    desk.close()
    for one in told:
        parts = sum(value for name, value in one.items() if name != "sum")
        assert parts == pytest.approx(one["sum"], abs=0.01)
        assert min(one.values()) >= -0.01
    assert set(summary(told)) == {
        "parse", "state", "encode", "retrieve", "rank", "answer", "other", "reply", "json", "sum"
    }  # fmt: skip

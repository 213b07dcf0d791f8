"""Items from the log into the answers of several workers, merges among them: a dictionary knows as much."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.person import Person
from features.vocabulary import UNKNOWN
from serving.answers import Query
from serving.bundle import Bundle, open_bundle
from serving.items.changes import ItemFollower, newer, up_to_date
from serving.items.merged_files import merges_of
from serving.items.merging import MergeMapper, merge, with_merges
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.pipeline import Pipeline
from serving.retrieval.eligibility import open_to_all
from serving.state import ItemLog, open_item_log
from serving.state.item_log import ItemChange, ItemEdit

WORKERS = 3
NEW = ("fresh-0", "fresh-1", "fresh-2")


@pytest.fixture(scope="module")
def opened(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("served") / "bundle"
    shutil.copytree(trained.bundle, path)
    return open_bundle(path)


@pytest.fixture
def bundle(opened: Bundle) -> Iterator[Bundle]:
    """A bundle beside which nothing was merged."""
    yield opened
    forget_merges(opened)


def forget_merges(bundle: Bundle) -> None:
    for path in merges_of(bundle.path).values():
        shutil.rmtree(path)


class NoDesk:
    """Stands where a desk would."""

    def over(self, _: Pipeline) -> "NoDesk":
        return self


class Shop:
    """Three workers on one log, and a dictionary of what they should know."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.log = open_item_log("sqlite://:memory:")
        self.lives = [Live(with_merges(bundle, self.log), cast("Any", NoDesk())) for _ in range(WORKERS)]
        self.followers = [ItemFollower(live, self.log, self.open) for live in self.lives]
        self.mappers = [MergeMapper(live, self.log, bundle.path.with_name("lock")) for live in self.lives]
        self.truth: dict[str, str | None] = {}
        self.clock = bundle.statistics.newest

    def open(self, _: Path) -> Snapshot:
        return with_merges(self.bundle, self.log)

    def change(self, item_id: str, title: str | None) -> None:
        self.clock += 1
        attributes = None if title is None else {"title": title, "price": 5.0}
        self.log.change([ItemEdit(item_id, attributes)], self.clock)
        self.truth[item_id] = title

    def merge(self) -> Path | None:
        return merge(self.bundle.path, self.log)

    def settle(self) -> None:
        for mapper in self.mappers:
            mapper.look()
        for follower in self.followers:
            follower.look()

    def check(self) -> None:
        """Every worker shows exactly the items that the dictionary and the bundle hold, as they are now."""
        assert self.truth.keys() <= {*NEW, *self.bundle.schema.items.ids}
        for live in self.lives:
            changed = live.snapshot.pipeline.bundle
            eligible = open_to_all(changed.schema, changed.catalogue, self.clock)
            for item_id, title in self.truth.items():
                row = changed.schema.items.row(item_id)
                if row == UNKNOWN:
                    assert title is None
                    assert item_id in NEW
                    continue
                assert bool(eligible.has(np.array([row]))[0]) == (title is not None)
                if title is not None:
                    assert changed.catalogue.title(row) == title
            shown = shown_by(live.snapshot.pipeline, self.clock)
            assert shown & set(NEW) == {one for one in NEW if self.truth.get(one) is not None}
            assert not shown & {one for one, title in self.truth.items() if title is None}

    def close(self) -> None:
        self.log.close()
        forget_merges(self.bundle)


def shown_by(pipeline: Pipeline, moment: int) -> set[str]:
    return {one.item_id for one in pipeline.recommend(Person(), Query(k=500), moment).items}


@pytest.fixture
def shop(bundle: Bundle) -> Iterator[Shop]:
    made = Shop(bundle)
    yield made
    made.close()


def known(bundle: Bundle, place: int) -> str:
    return list(bundle.schema.items.ids)[place]


def test_every_worker_shows_an_upserted_item_and_no_deleted_one(shop: Shop) -> None:
    shop.change(NEW[0], "New")
    shop.change(known(shop.bundle, 3), None)
    for follower in shop.followers:
        follower.look()
    shop.check()
    assert [live.snapshot.number for live in shop.lives] == [shop.log.newest()] * WORKERS


def test_a_request_goes_on_with_the_items_that_it_took(shop: Shop) -> None:
    before = shop.lives[0].snapshot.pipeline
    shop.change(NEW[0], "New")
    shop.settle()
    assert NEW[0] not in shown_by(before, shop.clock)
    assert NEW[0] in shown_by(shop.lives[0].snapshot.pipeline, shop.clock)


def test_nothing_new_replaces_nothing(shop: Shop) -> None:
    before = [live.snapshot for live in shop.lives]
    shop.settle()
    assert all(live.snapshot is one for live, one in zip(shop.lives, before, strict=True))


def test_a_merge_holds_what_the_delta_held(shop: Shop) -> None:
    shop.change(NEW[0], "New")
    shop.change(known(shop.bundle, 3), None)
    shop.change(known(shop.bundle, 4), "Renamed")
    shop.settle()
    before = shop.lives[0].snapshot
    shop.merge()
    shop.change(NEW[1], "Came since")
    shop.settle()
    after = shop.lives[0].snapshot
    assert after.merged == before.number
    assert after.delta.new_ids == (NEW[1],)
    assert [len(live.snapshot.delta) for live in shop.lives] == [1] * WORKERS
    rows = np.arange(len(before.pipeline.bundle.catalogue))
    for name in ("vectors", "id_vectors", "codes"):
        there, here = (getattr(one.pipeline.bundle.catalogue, name)[rows] for one in (before, after))
        assert np.array_equal(there, here)
    for name in ("popularity", "recent", "first_seen", "mean_value"):
        there, here = (getattr(one.pipeline.bundle.statistics, name)[rows] for one in (before, after))
        assert np.array_equal(there, here)
    shop.check()
    attributes = after.main.filterable.items.attributes
    price = attributes.columns["price"].arrays()["values"]
    assert len(attributes) == len(after.main.catalogue)
    row = after.main.schema.items.row
    assert price[[row(NEW[0]), row(known(shop.bundle, 4))]].tolist() == [5.0, 5.0]
    untouched = [row(known(shop.bundle, place)) for place in (5, 6, 7)]
    assert np.array_equal(
        price[untouched],
        shop.bundle.filterable.items.attributes.columns["price"].arrays()["values"][untouched],
        equal_nan=True,
    )


def test_a_delete_during_a_merge_stays_deleted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The merge has read the log when the item goes; its files bring the item back to nobody."""
    shop.change(NEW[0], "New")
    shop.change(known(shop.bundle, 3), "Renamed")
    shop.settle()

    def then_delete(snapshot: Snapshot, log: ItemLog) -> Snapshot:
        read = up_to_date(snapshot, log)
        shop.change(NEW[0], None)
        shop.change(known(shop.bundle, 3), None)
        shop.followers[0].look()
        return read

    with monkeypatch.context() as patch:
        patch.setattr("serving.items.merging.up_to_date", then_delete)
        shop.merge()
    shop.mappers[0].look()
    assert shop.lives[0].snapshot.merged > 0
    shop.settle()
    shop.check()
    shop.merge()
    shop.settle()
    assert [len(live.snapshot.delta) for live in shop.lives] == [0] * WORKERS
    shop.check()


def test_what_was_new_in_one_merge_counts_as_new_after_the_next(shop: Shop) -> None:
    for item in NEW:
        shop.change(item, "New")
        shop.merge()
    shop.settle()
    statistics = shop.lives[0].snapshot.pipeline.bundle.statistics
    rows = shop.lives[0].snapshot.pipeline.bundle.schema.items.rows(NEW)
    assert statistics.arrived.tolist() == rows.tolist()
    assert statistics.seen_since(statistics.newest, 10)[-3:].tolist() == rows.tolist()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from([*NEW, 0, 1, 2]), st.sampled_from([None, "One", "Two"])),
        st.tuples(st.just("follow"), st.integers(0, WORKERS - 1)),
        st.tuples(st.just("map"), st.integers(0, WORKERS - 1)),
        st.tuples(st.just("merge")),
    ),
    max_size=25,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_any_upserts_deletes_and_merges_over_three_workers_give_what_a_dictionary_gives(
    opened: Bundle, operations: list[Any]
) -> None:
    shop = Shop(opened)
    try:
        for name, *given_values in operations:
            match name:
                case "change":
                    item, title = given_values
                    shop.change(item if isinstance(item, str) else known(opened, item), title)
                case "follow":
                    shop.followers[given_values[0]].look()
                case "map":
                    shop.mappers[given_values[0]].look()
                case _:
                    shop.merge()
        shop.settle()
        shop.check()
    finally:
        shop.close()


class Picky:
    """Stands for a snapshot; refuses some changes."""

    def __init__(self, number: int = 0, seen: tuple[int, ...] = ()) -> None:
        self.number = number
        self.seen = seen
        self.main = cast("Any", type("Named", (), {"name": "picky"}))

    def after(self, changes: list[ItemChange]) -> "Picky":
        if any(change.item_id == "bad" for change in changes):
            raise ValueError("secret")
        return Picky(changes[-1].number, (*self.seen, *(change.number for change in changes)))

    def passing(self, number: int) -> "Picky":
        return Picky(number, self.seen)


@pytest.mark.parametrize("page", [1, 3, 100])
def test_a_change_that_cannot_be_read_holds_up_no_other(
    item_log: ItemLog, caplog: pytest.LogCaptureFixture, page: int
) -> None:
    numbers = item_log.change([ItemEdit(name, {}) for name in ("a", "b", "bad", "c", "d", "e")], 1)
    with caplog.at_level(logging.ERROR, "bentoml.tailorbird"):
        *_, (_, last) = newer(cast("Any", Picky()), item_log, page)
    snapshot = cast("Picky", last)
    assert snapshot.seen == (*numbers[:2], *numbers[3:])
    assert snapshot.number == numbers[-1]
    assert "item change 3 cannot be applied to bundle picky" in caplog.text
    assert "secret" not in caplog.text


def test_a_bundle_that_cannot_read_a_change_shows_the_others(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Such as one that was posted when the column had another role."""
    shop.log.change([ItemEdit(NEW[1], {"price": "cheap"})], shop.clock)
    shop.change(NEW[0], "New")
    with caplog.at_level(logging.ERROR, "bentoml.tailorbird"):
        shop.settle()
    assert caplog.text.count("cannot be applied") == WORKERS
    shop.check()


def test_a_bundle_says_which_changes_it_was_trained_on(bundle: Bundle, item_log: ItemLog) -> None:
    item_log.change([ItemEdit(NEW[0], {}), ItemEdit(NEW[1], {})], 1)
    trained_on = replace(bundle, manifest={**bundle.manifest, "item_changes": 1})
    snapshot = up_to_date(with_merges(trained_on, item_log), item_log)
    assert snapshot.delta.new_ids == (NEW[1],)
    empty = open_item_log("sqlite://:memory:")
    live = Live(with_merges(trained_on, empty), cast("Any", NoDesk()))
    before = live.snapshot
    ItemFollower(live, empty, cast("Any", None)).look()
    assert live.snapshot is before
    empty.close()


Spoil = Callable[[Path], None]


def empty_file(path: Path) -> None:
    (path / "statistics" / "recent.npy").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "told"), [(empty_file, "recent.npy differs"), (partial(shutil.rmtree, ignore_errors=True), None)]
)
def test_a_damaged_merge_is_left_aside(
    shop: Shop, caplog: pytest.LogCaptureFixture, spoil: Spoil, told: str | None
) -> None:
    shop.change(NEW[0], "New")
    merged = shop.merge()
    assert merged is not None
    spoil(merged)
    with caplog.at_level(logging.WARNING, "bentoml.tailorbird"):
        for _ in range(3):
            shop.settle()
    assert caplog.text.count("left aside") == (WORKERS if told else 0)
    assert (told or "") in caplog.text
    shop.check()
    assert with_merges(shop.bundle, shop.log).merged == 0


def test_a_merge_of_another_store_is_left_aside(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.change(NEW[0], "New")
    shop.merge()
    other = open_item_log("sqlite://:memory:")
    other.change([ItemEdit(NEW[1], {})], 1)
    with caplog.at_level(logging.WARNING, "bentoml.tailorbird"):
        assert with_merges(shop.bundle, other).merged == 0
    assert "was merged for another log" in caplog.text
    other.close()


def test_a_log_that_went_back_is_followed_there(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """As when a backup of the store is put in its place: what it does not hold is shown by nobody, merged or not."""
    backup = open_item_log("sqlite://:memory:")
    backup.change([ItemEdit(NEW[0], {"title": "New"})], shop.clock)
    for title in ("New", "Newer", "Newest"):
        shop.change(NEW[0], title)
    shop.change(NEW[1], "Lost")
    shop.merge()
    shop.settle()
    shop.log.close()
    shop.log, shop.truth = backup, {NEW[0]: "New"}
    live = shop.lives[0]
    follower, mapper = (
        ItemFollower(live, backup, shop.open),
        MergeMapper(live, backup, shop.bundle.path.with_name("lock")),
    )
    with caplog.at_level(logging.WARNING, "bentoml.tailorbird"):
        for _ in range(2):
            follower.look()
            mapper.look()
    assert caplog.text.count("went back") == 1
    shop.lives = [live]
    shop.check()


def test_a_merge_that_broke_off_leaves_nothing_and_the_next_one_clears_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.change(NEW[0], "New")
    with monkeypatch.context() as patch:
        patch.setattr("serving.items.merged_files.seal", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shop.merge()
    assert merges_of(shop.bundle.path) == {}
    shop.change(NEW[1], "New")
    merged = shop.merge()
    assert list(merges_of(shop.bundle.path).values()) == [merged]
    assert list(shop.bundle.path.parent.glob(".*staging")) == []


def test_only_the_last_two_merges_are_kept(shop: Shop) -> None:
    for place in range(4):
        shop.change(NEW[0], f"Title {place}")
        shop.merge()
    assert list(merges_of(shop.bundle.path)) == [4, 3]
    shop.settle()
    shop.check()


def test_without_changes_nothing_is_merged(shop: Shop) -> None:
    assert shop.merge() is None
    shop.change(NEW[0], None)
    assert shop.merge() is None
    shop.change(NEW[0], "New")
    assert shop.merge() is not None
    assert shop.merge() is None

"""Items from the log into the answers of several workers, merges among them: a dictionary knows as much."""

import logging
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.bundle import Bundle
from serving.items.changes import ItemFollower, newer, up_to_date
from serving.items.merging import MergeMapper, with_merges
from serving.lifecycle.live import Live
from serving.state import ItemLog, open_item_log
from serving.state.item_log import ItemChange, ItemEdit
from tests.serving.items.changing_shop import NEW, WORKERS, NoDesk, Shop, known, shown_by


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

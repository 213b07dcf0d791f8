"""Merges of changed items beside a bundle: they hold what the log held, and a bad one is left aside."""

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from serving.items.changes import up_to_date
from serving.items.merged_files import merges_of
from serving.items.merging import with_merges
from serving.items.snapshot import Snapshot
from serving.state import ItemLog, open_item_log
from serving.state.item_log import ItemEdit
from tests.serving.items.changing_shop import NEW, WORKERS, Shop, known


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

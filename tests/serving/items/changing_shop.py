"""Three workers on one log of items, and a dictionary of what they should know."""

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np

from features.person import Person
from features.vocabulary import UNKNOWN
from serving.answers import Query
from serving.bundle import Bundle
from serving.items.changes import ItemFollower
from serving.items.merged_files import merges_of
from serving.items.merging import MergeMapper, merge, with_merges
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.pipeline import Pipeline
from serving.retrieval.eligibility import open_to_all
from serving.state import open_item_log
from serving.state.item_log import ItemEdit

WORKERS = 3
NEW = ("fresh-0", "fresh-1", "fresh-2")


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


def known(bundle: Bundle, place: int) -> str:
    return list(bundle.schema.items.ids)[place]

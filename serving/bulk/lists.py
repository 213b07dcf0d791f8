"""Lists for a group of people, made by whichever process has time: the same pipeline object as the service's."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from features.consent import OPT_IN, ConsentRules
from features.person import Person
from features.pseudonyms import Pseudonyms
from serving.answers import Answer, Query
from serving.bulk.people import reader_of_state
from serving.bundle import Bundle, assemble
from serving.filters import FilterReader
from serving.items.changes import up_to_date
from serving.items.delta import Delta
from serving.items.merged_files import merges_of, open_merged
from serving.items.merging import with_merges
from serving.pipeline import Pipeline
from serving.state import open_item_log

COLUMNS = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("rank", pa.int32()), ("score", pa.float64())])


TOGETHER = 16
"""People who are answered stage by stage; more of them cost memory and gain nothing (benchmarks/serving/NOTES.md)."""


class Group(NamedTuple):
    """People whose lists are made one after the other."""

    users: tuple[str, ...]
    people: tuple[Person, ...] | None
    """None: they are read from the state."""


class ItemsNow(NamedTuple):
    """The item changes that the lists know: those that were merged into files, and those since."""

    merged: Path | None
    log_identity: str
    delta: Delta


class ListMaker(NamedTuple):
    """All that decides the lists of a run, so that each process makes the same of a person; nothing in it is open."""

    bundle: Path
    manifest: dict[str, Any]
    """Of the bundle, whose files were verified."""
    items: ItemsNow | None
    """None: the items as they were trained."""
    state: str | None
    """URL, when people are read from the state."""
    moment: int
    k: int
    where: str | None
    """A filter."""
    consent: ConsentRules = OPT_IN
    """What silence means, when people are read from the state."""
    pseudonyms: Pseudonyms | None = None
    """Under which people stand in the state, where the configuration says so."""

    def open(self) -> Callable[[Group], pa.RecordBatch]:
        """What makes the rows of a group: user_id, item_id, rank from 1, and score.

        Raises BundleError, StateError, and RequestError for a text that is no filter.
        """
        pipeline = Pipeline(self._bundle())
        dataset = pipeline.bundle.schema.dataset
        query = Query(k=self.k, filter=None if self.where is None else FilterReader(dataset).read(self.where))
        read = None if self.state is None else reader_of_state(self.state, dataset, self.consent, self.pseudonyms)

        def rows_of(group: Group) -> pa.RecordBatch:
            people = map(read, group.users) if group.people is None and read else iter(group.people or ())
            answers = list[Answer]()
            while few := [(person, self.moment) for person in islice(people, TOGETHER)]:
                answers += pipeline.recommend_all(few, query)
            pairs = list(zip(group.users, answers, strict=True))
            columns = [
                [user for user, answer in pairs for _ in answer.items],
                [one.item_id for answer in answers for one in answer.items],
                [rank for answer in answers for rank in range(1, len(answer.items) + 1)],
                [one.score for answer in answers for one in answer.items],
            ]
            return pa.record_batch([pa.array(*one) for one in zip(columns, COLUMNS.types, strict=True)], schema=COLUMNS)

        return rows_of

    def _bundle(self) -> Bundle:
        main = assemble(self.bundle, self.manifest)
        if self.items is None:
            return main
        if self.items.merged is not None:
            main = open_merged(main, self.items.merged, self.items.log_identity)
        return main.with_items(self.items.delta) if len(self.items.delta) else main


def items_now(bundle: Bundle, state: str) -> ItemsNow:
    """Every item change that the log of a state holds by now. Raises BundleError and StateError."""
    log = open_item_log(state)
    try:
        snapshot = up_to_date(with_merges(bundle, log), log)
        return ItemsNow(merges_of(bundle.path).get(snapshot.merged), log.identity, snapshot.delta)
    finally:
        log.close()

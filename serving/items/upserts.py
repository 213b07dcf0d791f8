"""What a change of items makes of a bundle's tables: a new delta, whose rows the item tower has embedded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from features.arrays import IntArray
from features.encoders import is_missing
from features.moments import to_moment
from features.schema import Schema
from features.vocabulary import UNKNOWN
from serving.catalogue import Catalogue, item_vectors
from serving.graph import Graph
from serving.items.changed_tables import changed_catalogue
from serving.items.delta import Delta, ItemRecord
from serving.retrieval.openings import ALWAYS
from serving.retrieval.statistics import Statistics


class Tables(NamedTuple):
    """What a change is worked out with: a bundle's own tables, without any delta."""

    schema: Schema
    catalogue: Catalogue
    statistics: Statistics
    item_tower: Graph

    def after(self, before: Delta, records: Iterable[ItemRecord]) -> Delta:
        """The delta after further changes, in their order; of several for one item the last one holds.

        To delete what is not there changes nothing.
        """
        last = {one.item_id: one for one in records}
        ids = dict(zip(before.new_ids, range(before.n_rows, before.n_rows + len(before.new_ids)), strict=True))
        known = dict(zip(last, self.schema.items.rows(last).tolist(), strict=True))
        for item_id, record in last.items():
            if known[item_id] == UNKNOWN and item_id not in ids and record.attributes is not None:
                ids[item_id] = before.n_rows + len(ids)
        rows = {item_id: ids.get(item_id, row) for item_id, row in known.items()}
        there = sorted((one for one in last if rows[one] != UNKNOWN), key=lambda one: rows[one])
        if not there:
            return before
        changed = self._changed(np.array([rows[one] for one in there]), [last[one] for one in there], before)
        return before.with_rows(changed, tuple(ids))

    def _changed(self, rows: IntArray, records: Sequence[ItemRecord], before: Delta) -> Delta:
        """A delta of these rows alone, ascending; the item tower embeds all of them at once."""
        items, own = self.schema.dataset.items, rows < before.n_rows
        given: list[Mapping[str, Any]] = [one.attributes or {} for one in records]
        columns = {one.name: [each.get(one.name) for each in given] for one in self.schema.item_fields}
        codes = self.schema.encode_items(columns, len(rows))
        id_vectors = self.catalogue.id_vectors[np.where(own, rows, 0)]
        id_vectors[~own] = 0.0
        moments = np.array([one.moment for one in records], dtype=np.int64)
        came = np.isin(rows, before.rows)
        seen = np.where(own, self.statistics.first_seen[np.where(own, rows, 0)], moments)
        seen[came] = before.first_seen[np.searchsorted(before.rows, rows[came])]
        gone = np.array([one.attributes is None for one in records], dtype=np.bool_)
        vectors = item_vectors(self.item_tower, id_vectors, codes)
        titles = np.array([_title(each, items.title) for each in given], dtype=object)
        if gone.any():
            was = changed_catalogue(self.catalogue, before)
            vectors[gone], codes[gone] = was.vectors[rows[gone]], was.codes[rows[gone]]
            titles[gone] = [was.title(row) or "" for row in rows[gone].tolist()]
        return replace(
            before,
            rows=rows,
            vectors=vectors,
            codes=codes.astype(np.int32),
            available_from=_moments(given, items.available.from_, ALWAYS.min),
            available_to=_moments(given, items.available.to, ALWAYS.max),
            first_seen=seen,
            gone=gone,
            titles=tuple(titles.tolist()),
            attributes=tuple(given),
        )


def _moments(given: Sequence[Mapping[str, Any]], column: str | None, otherwise: int) -> IntArray:
    """int64 [n]: the moments in a column; `otherwise` where it is not given."""
    values = [None if column is None else each.get(column) for each in given]
    return np.array([otherwise if is_missing(one) else to_moment(one) for one in values], dtype=np.int64)


def _title(given: Mapping[str, Any], column: str | None) -> str:
    value = None if column is None else given.get(column)
    return "" if is_missing(value) else str(value)

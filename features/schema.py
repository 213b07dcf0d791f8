"""The schema: what a model was trained to read. Fitted once on a training slice, stored in the bundle.

It owns every vocabulary and encoder, so that training and serving cannot disagree; its fingerprint ties
towers, index and tables together.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from features.dataset import DatasetConfig
from features.encoders import Field, fit_field, quantile_edges
from features.events import AttributeTable, EventTable
from features.moments import MAX_GAP_CODE, gap_codes
from features.person import Person
from features.vocabulary import PAD, RESERVED, UNKNOWN, Vocabulary

VALUE_BUCKETS = 10


class FieldSize(NamedTuple):
    """What an embedding needs to know of a field: `width` codes side by side, each below `size`."""

    name: str
    width: int
    size: int


@dataclass(frozen=True)
class Schema:
    """Vocabularies and encoders of one data set."""

    dataset: DatasetConfig
    items: Vocabulary
    item_fields: tuple[Field, ...]
    user_fields: tuple[Field, ...]
    """Static user attributes."""
    changing_user_fields: tuple[Field, ...]
    """User attributes that depend on the moment, ages among them."""
    context_fields: tuple[Field, ...]
    value_edges: tuple[float, ...]
    max_gap_code: int
    """Code of the longest gap seen in training; longer ones are clamped to it."""

    @property
    def timed(self) -> bool:
        """Whether events carry a time."""
        return self.dataset.timed

    @property
    def reads_gaps(self) -> bool:
        """Whether models and sources see the time between moments."""
        return self.timed and self.dataset.order.models_read != "order"

    @property
    def reads_clock(self) -> bool:
        """Whether models see hour and weekday."""
        return self.timed and self.dataset.order.models_read == "clock"

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Event types in the order of the config; their codes start at 2."""
        return tuple(self.dataset.types)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The types that the ranker predicts: all but exposures."""
        return tuple(name for name, kind in self.dataset.types.items() if kind.sign != "exposure")

    @cached_property
    def type_codes(self) -> dict[str, int]:
        """Code of each type."""
        return {name: code for code, name in enumerate(self.types, start=RESERVED)}

    @cached_property
    def exposure_codes(self) -> BoolArray:
        """bool [types + 2]: whether a type code is a mere exposure."""
        return self._by_sign("exposure")

    @cached_property
    def positive_codes(self) -> BoolArray:
        """bool [types + 2]: whether a type code is something wanted."""
        return self._by_sign("positive")

    def _by_sign(self, sign: str) -> BoolArray:
        return np.array([False, False, *(kind.sign == sign for kind in self.dataset.types.values())])

    @cached_property
    def item_sizes(self) -> tuple[FieldSize, ...]:
        """Fields of the item tower, in the order of their codes."""
        return tuple(FieldSize(one.name, one.width, one.size) for one in self.item_fields)

    @cached_property
    def profile_sizes(self) -> tuple[FieldSize, ...]:
        """Fields of the profile, in the order of their codes."""
        return tuple(FieldSize(one.name, one.width, one.size) for one in self.user_fields)

    @cached_property
    def context_sizes(self) -> tuple[FieldSize, ...]:
        """Fields of a query's context: hour and weekday if read, context columns, changing attributes."""
        clock = (FieldSize("hour", 1, 26), FieldSize("weekday", 1, 9)) if self.reads_clock else ()
        fields = (*self.context_fields, *self.changing_user_fields)
        return (*clock, *(FieldSize(one.name, one.width, one.size) for one in fields))

    @property
    def value_size(self) -> int:
        """Number of value codes: PAD, unknown, and the buckets."""
        return RESERVED + len(self.value_edges) + 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the schema's content, its item ids included."""
        content = json.dumps(self.to_json(), sort_keys=True).encode()
        return hashlib.sha256(content + self.items.digest()).hexdigest()

    def encode_types(self, types: Iterable[str]) -> IntArray:
        """int64 [T] codes of event types; UNKNOWN for a type that training did not know."""
        codes = self.type_codes
        return np.fromiter((codes.get(name, UNKNOWN) for name in types), dtype=np.int64)

    def encode_values(self, values: FloatArray) -> IntArray:
        """int64 [T] buckets of event values; PAD where there is none."""
        buckets = RESERVED + np.searchsorted(self.value_edges, values, side="right")
        return np.where(np.isnan(values), PAD, buckets).astype(np.int64)

    def encode_profile(self, person: Person) -> IntArray:
        """int64 [P]: codes of the static user attributes."""
        codes = [one.encode([person.attributes.get(one.name)])[0] for one in self.user_fields]
        return np.concatenate(codes) if codes else np.empty(0, dtype=np.int64)

    def encode_changing(self, field: Field, person: Person, queries: IntArray) -> IntArray:
        """int64 [Q, width]: a user attribute as of each query's moment."""
        codes = [field.encode([person.attribute(field.name, int(at))], int(at))[0] for at in queries]
        return np.stack(codes)

    def encode_items(self, columns: Mapping[str, Sequence[Any]], count: int) -> IntArray:
        """int64 [count, A]: attribute codes of items; a column that is not given is unknown."""
        missing = [None] * count
        codes = [one.encode(columns.get(one.name, missing)) for one in self.item_fields]
        return np.concatenate(codes, axis=1) if codes else np.empty((count, 0), dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes an equal schema, given the items, which may be a million."""
        return {
            "dataset": self.dataset.model_dump(mode="json", by_alias=True),
            "item_fields": [one.to_json() for one in self.item_fields],
            "user_fields": [one.to_json() for one in self.user_fields],
            "changing_user_fields": [one.to_json() for one in self.changing_user_fields],
            "context_fields": [one.to_json() for one in self.context_fields],
            "value_edges": list(self.value_edges),
            "max_gap_code": self.max_gap_code,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], items: Vocabulary) -> Self:
        """The inverse of `to_json`."""
        fields = {
            name: tuple(Field.from_json(one) for one in content[name])
            for name in ("item_fields", "user_fields", "changing_user_fields", "context_fields")
        }
        return cls(
            dataset=DatasetConfig.parse(content["dataset"]),
            items=items,
            value_edges=tuple(content["value_edges"]),
            max_gap_code=content["max_gap_code"],
            **fields,
        )


def fit_schema(dataset: DatasetConfig, events: EventTable, users: AttributeTable, items: AttributeTable) -> Schema:
    """Learn vocabularies and encoders from a training slice.

    Items are those that occur in the slice, sorted by id, and after them the others of the item table.
    """
    occurring = sorted(set(events.items[np.unique(events.item_codes)]))
    vocabulary = Vocabulary(occurring).extended(items.ids)
    of_items, of_users = dataset.items.columns, dataset.users.columns
    fixed = {name: column for name, column in of_users.items() if not column.changes}
    moving = {name: column for name, column in of_users.items() if column.changes}
    return Schema(
        dataset=dataset,
        items=vocabulary,
        item_fields=tuple(fit_field(name, column, values_of(items, name)) for name, column in of_items.items()),
        user_fields=tuple(fit_field(name, column, values_of(users, name)) for name, column in fixed.items()),
        changing_user_fields=tuple(fit_field(name, column, values_of(users, name)) for name, column in moving.items()),
        context_fields=tuple(
            fit_field(name, column, list(events.contexts[name])) for name, column in dataset.events.context.items()
        ),
        value_edges=quantile_edges(events.values.astype(np.float64), VALUE_BUCKETS),
        max_gap_code=_longest_gap(events) if dataset.timed else MAX_GAP_CODE,
    )


def values_of(table: AttributeTable, name: str) -> list[Any]:
    """All values of an attribute that a table holds, past ones too."""
    return list(table.changes[name].values if name in table.changes else table.columns[name])


def _longest_gap(events: EventTable) -> int:
    """Code of the longest time between a user's first and last event."""
    if len(events) == 0:
        return MAX_GAP_CODE
    starts = events.offsets[:-1][np.diff(events.offsets) > 0]
    ends = events.offsets[1:][np.diff(events.offsets) > 0] - 1
    spans = events.moments[ends] - events.moments[starts]
    return int(gap_codes(np.array([spans.max()]), np.array([0]))[0, 0])

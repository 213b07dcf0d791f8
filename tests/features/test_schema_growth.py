"""A schema that grows keeps every code that it gave."""

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import ColumnConfig, DatasetConfig
from features.encoders import fit_field
from features.schema import Schema, fit_schema
from features.schema_growth import grown_field, grown_schema
from features.tables import load_tables
from features.vocabulary import UNKNOWN

DATASET = DatasetConfig.parse(
    {"order": {"sequence": "position"}, "events": {}, "types": {"view": {}},
     "items": {"columns": {"kind": {"role": "categorical", "static": True},
                           "tags": {"role": "multi_categorical", "separator": "|", "static": True},
                           "price": {"role": "numeric", "static": True}}}}
)  # fmt: skip


def schema_of(items: list[str], before: Schema | None = None) -> Schema:
    events = pd.DataFrame({"user_id": "u", "item_id": items[:1], "position": 1})
    table = pd.DataFrame({"item_id": items, "kind": [f"k{one}" for one in items], "tags": [f"{one}|x" for one in items],
                          "price": [float(len(items) + place) for place in range(len(items))]})  # fmt: skip
    tables = load_tables(DATASET, __file__, {"events": events, "items": table})  # type: ignore[arg-type]
    parts = (tables.events, tables.users, tables.items)
    return fit_schema(DATASET, *parts) if before is None else grown_schema(before, *parts)


names = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=8, unique=True)


@given(names, names)
def test_rows_and_codes_stay_and_what_is_new_stands_behind(first: list[str], second: list[str]) -> None:
    before = schema_of(first)
    after = schema_of(second, before)
    assert list(after.items.ids)[: len(first)] == list(before.items.ids)
    assert set(after.items.ids) == {*first, *second}
    for old, new in zip(before.item_fields, after.item_fields, strict=True):
        assert (old.width, old.edges, old.role) == (new.width, new.edges, new.role)
        assert list(new.vocabulary.ids)[: len(old.vocabulary.ids)] == list(old.vocabulary.ids)
    values: dict[str, list[Any]] = {
        "kind": [f"k{one}" for one in first],
        "tags": [f"{one}|x" for one in first],
        "price": [3.0] * len(first),
    }
    np.testing.assert_array_equal(before.encode_items(values, len(first)), after.encode_items(values, len(first)))
    fresh = after.encode_items({"kind": [f"k{one}" for one in second]}, len(second))[:, 0]
    assert (fresh != UNKNOWN).all()


def test_missing_values_bring_no_category() -> None:
    field = fit_field("kind", ColumnConfig(role="categorical"), ["a", None])
    assert list(grown_field(field, [None, "b", float("nan")]).vocabulary.ids) == ["a", "b"]

"""The attributes of items: every value exactly, saved, mapped and read again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import AttributeColumn
from features.errors import BundleError, RequestError
from features.texts import ABSENT, SortedTexts
from serving.bundle import open_bundle
from serving.filters.attribute_columns import (
    NO_MOMENT,
    Categories,
    Column,
    Moments,
    MultiCategories,
    Numbers,
    exact_value,
)
from serving.filters.attributes import Attributes
from training.stage import part_of

COLUMNS = {
    "brand": AttributeColumn(role="categorical", static=True),
    "genre": AttributeColumn(role="multi_categorical", static=True, separator="|"),
    "price": AttributeColumn(role="numeric", static=True),
    "published": AttributeColumn(role="time", static=True),
    "story": AttributeColumn(role="text", static=True),
}


def value_at(column: Column, row: int) -> Any:
    """What a row holds, None where missing."""
    match column:
        case Categories(codes, texts):
            return None if codes[row] == ABSENT else texts[int(codes[row])]
        case MultiCategories(offsets, codes, texts):
            return [texts[int(code)] for code in codes[offsets[row] : offsets[row + 1]]]
        case Numbers(values):
            return None if np.isnan(values[row]) else float(values[row])
        case Moments(values):
            return None if values[row] == NO_MOMENT else int(values[row])


def rows_of(attributes: Attributes) -> list[dict[str, Any]]:
    columns = attributes.columns
    return [{name: value_at(column, row) for name, column in columns.items()} for row in range(len(attributes))]


@given(st.sets(st.text(max_size=4)), st.text(max_size=4))
def test_a_table_of_texts_knows_each_by_its_code(texts: set[str], other: str) -> None:
    table, codes = SortedTexts.with_codes(texts)
    assert {table[code]: code for code in range(len(table))} == codes
    assert [table.code(text) for text in texts] == [codes[text] for text in texts]
    assert table.code(other) == codes.get(other, ABSENT)


def test_plain_records_keep_every_value() -> None:
    attributes = Attributes.of(
        COLUMNS,
        [
            {"brand": "Ökö", "genre": ["drama", "crime", "drama"], "price": 19.99, "published": "2026-05-01T00:00:00Z"},
            {"brand": 7.0, "genre": "war|peace", "price": "12", "story": "Long ago"},
            {"brand": " ", "genre": [], "price": None, "published": 1_777_593_600},
            {},
        ],
    )
    may = 1_777_593_600_000
    assert rows_of(attributes) == [
        {"brand": "Ökö", "genre": ["drama", "crime"], "price": 19.99, "published": may},
        {"brand": "7", "genre": ["war", "peace"], "price": 12.0, "published": None},
        {"brand": None, "genre": [], "price": None, "published": may},
        {"brand": None, "genre": [], "price": None, "published": None},
    ]


def test_values_stand_at_their_rows_and_what_is_mapped_is_what_was_saved(tmp_path: Path) -> None:
    values: dict[str, list[Any]] = {
        "brand": ["b", "a"],
        "genre": [["x", "y"], "z"],
        "price": [2.5, float("nan")],
        "published": [datetime(2026, 5, 1, tzinfo=UTC), None],
    }
    built = Attributes.build(COLUMNS, values, np.array([5, 2]), 6)
    built.save(tmp_path / "attributes")
    mapped = Attributes.load(tmp_path / "attributes")
    rows = rows_of(mapped)
    assert rows == rows_of(built)
    assert rows[5] == {"brand": "b", "genre": ["x", "y"], "price": 2.5, "published": 1_777_593_600_000}
    assert rows[2] == {"brand": "a", "genre": ["z"], "price": None, "published": None}
    assert all(rows[row] == {"brand": None, "genre": [], "price": None, "published": None} for row in (0, 1, 3, 4))
    prices = mapped.columns["price"]
    assert isinstance(prices, Numbers)
    assert not prices.values.flags.owndata


def test_a_table_of_no_items_is_saved_too(tmp_path: Path) -> None:
    Attributes.of(COLUMNS, []).save(tmp_path)
    assert rows_of(Attributes.load(tmp_path)) == []


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("brand", ["a", "b"], "one text, not several"),
        ("price", "cheap", "no number"),
        ("price", True, "no number"),
        ("price", 10**400, "no number"),
        ("published", "tomorrow", "no time"),
        ("published", 10**15, "no time"),
        ("published", True, "no time"),
    ],
)
def test_a_value_of_another_role_is_refused_by_its_column(column: str, value: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        Attributes.of(COLUMNS, [{column: value}])
    assert refused.value.field == column


def test_free_text_is_not_for_filters() -> None:
    with pytest.raises(RequestError, match="free text"):
        exact_value(COLUMNS["story"], "Long ago")


def test_a_bundle_without_attributes_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"attributes\.json is missing"):
        Attributes.load(tmp_path)


def test_a_trained_bundle_holds_what_the_item_table_says(trained: Any) -> None:
    """As of the newest event: what changes later comes with an update of the item, not from the future."""
    everything = np.ones(len(trained.tables.events), dtype=bool)
    items = part_of(trained.config.dataset, trained.tables, everything).items
    bundle = open_bundle(trained.bundle)
    rows = bundle.schema.items.rows(items.ids)
    declared = {name for name, column in bundle.schema.dataset.items.columns.items() if column.role != "text"}
    attributes = bundle.filterable.items.attributes
    assert set(attributes.columns) == declared
    assert len(attributes) == len(bundle.schema.items)
    for name in declared & items.columns.keys():
        column = attributes.columns[name]
        if isinstance(column, Categories | Numbers):
            assert [value_at(column, row) for row in rows.tolist()] == list(items.columns[name])
    for name, changes in items.changes.items():
        newest = dict(zip(changes.entity_codes.tolist(), changes.values, strict=True))
        assert newest
        column = attributes.columns[name]
        assert [value_at(column, int(rows[code])) for code in newest] == list(newest.values())

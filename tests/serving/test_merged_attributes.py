"""Attributes with changed rows put into them read as if they had been built that way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import ItemsConfig
from serving.filters.attribute_columns import Categories, MultiCategories, Numbers
from serving.filters.attributes import Attributes
from serving.items.merged_attributes import _merged, merged_attributes

COLUMNS = ItemsConfig.parse(
    {
        "columns": {
            "genre": {"role": "categorical", "static": True},
            "tags": {"role": "multi_categorical", "static": True},
            "price": {"role": "numeric", "static": True},
            "made": {"role": "time", "static": True},
        }
    }
).columns
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "genre": st.sampled_from(["a", "b", "ż"]),
        "tags": st.lists(st.sampled_from(["x", "y", "z"]), unique=True, max_size=3),
        "price": st.floats(0, 9),
        "made": st.sampled_from(["2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z"]),
    },
)


def rows_of(attributes: Attributes) -> list[dict[str, Any]]:
    """What every row holds, in plain values."""
    return [
        {name: value_at(column, row) for name, column in attributes.columns.items()} for row in range(len(attributes))
    ]


def value_at(column: Any, row: int) -> Any:
    if isinstance(column, Categories):
        return column.texts[int(column.codes[row])] if column.codes[row] >= 0 else None
    if isinstance(column, MultiCategories):
        return [column.texts[int(code)] for code in column.codes[column.offsets[row] : column.offsets[row + 1]]]
    return None if np.isnan(column.values[row]) else column.values[row].item()


@given(st.lists(RECORD, max_size=6), st.lists(RECORD, max_size=3), st.data())
def test_it_reads_as_if_it_had_been_built_so(
    base: list[dict[str, Any]], added: list[dict[str, Any]], data: st.DataObject
) -> None:
    n_rows = len(base) + len(added)
    changed_rows = data.draw(st.lists(st.integers(0, len(base) - 1), unique=True) if base else st.just([]))
    changes = {row: data.draw(RECORD) for row in sorted(changed_rows)}
    changes |= dict(enumerate(added, start=len(base)))
    rows = np.array(list(changes), dtype=np.int64)
    merged = merged_attributes(
        Attributes.of(COLUMNS, base), Attributes.of(COLUMNS, list(changes.values())), rows, n_rows
    )
    truth = dict(enumerate(base)) | changes
    assert rows_of(merged) == rows_of(Attributes.of(COLUMNS, [truth[row] for row in range(n_rows)]))
    for name, column in merged.columns.items():
        assert {part: array.dtype for part, array in column.arrays().items()} == {
            part: array.dtype for part, array in Attributes.of(COLUMNS, base).columns[name].arrays().items()
        }


def test_columns_of_two_kinds_are_never_mixed() -> None:
    numbers = Numbers(np.zeros(1))
    texts = Attributes.of(COLUMNS, [{}]).columns["genre"]
    with pytest.raises(TypeError, match="Numbers and Categories are columns of two kinds"):
        _merged(numbers, texts, np.array([0]), 1)

"""The attributes of items by row, memory-mapped and shared between processes: what filters read.

R item rows (0 PAD, 1 UNKNOWN hold nothing). The changed items since a bundle are a table of the same kind.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from features.arrays import IntArray, mapped
from features.dataset import ColumnConfig
from features.errors import BundleError, RequestError
from serving.filters.attribute_columns import KINDS, Column, exact_value

_LIST = "attributes.json"


@dataclass(frozen=True)
class Attributes:
    """Every attribute of every item but texts, by name."""

    columns: Mapping[str, Column]
    n_rows: int

    def __len__(self) -> int:
        return self.n_rows

    @classmethod
    def build(
        cls, columns: Mapping[str, ColumnConfig], values: Mapping[str, Sequence[Any]], rows: IntArray, n_rows: int
    ) -> Self:
        """The table of `n_rows` rows in which `values` (by column, each [n]) stand at `rows` int64 [n].

        A column that `values` lacks is missing everywhere; one with the role `text` is left out. Raises
        RequestError naming the column that holds something of another role.
        """
        nothing = [None] * len(rows)
        table: dict[str, Column] = {}
        for name, column in columns.items():
            if column.role in KINDS:
                try:
                    exact = [exact_value(column, value) for value in values.get(name, nothing)]
                except RequestError as error:
                    raise RequestError(error.message, field=name, hint=error.hint) from None
                table[name] = KINDS[column.role].of(exact, rows, n_rows)
        return cls(table, n_rows)

    @classmethod
    def of(cls, columns: Mapping[str, ColumnConfig], records: Sequence[Mapping[str, Any]]) -> Self:
        """The table of a few items, one row each in the order given, from plain values as JSON has them.

        Raises RequestError naming the column that holds something of another role.
        """
        values = {name: [record.get(name) for record in records] for name in columns}
        return cls.build(columns, values, np.arange(len(records)), len(records))

    def save(self, directory: Path) -> None:
        """Write one .npy per array, and the list of columns: numbered, as a name may hold anything."""
        directory.mkdir(parents=True, exist_ok=True)
        listed = []
        for number, (name, column) in enumerate(self.columns.items()):
            arrays = column.arrays()
            listed.append({"name": name, "kind": type(column).__name__, "arrays": list(arrays)})
            for part, array in arrays.items():
                np.save(directory / f"{number}.{part}.npy", np.ascontiguousarray(array), allow_pickle=False)
        content = {"rows": self.n_rows, "columns": listed}
        (directory / _LIST).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Map what `save` wrote. Raises BundleError when it was not written."""
        try:
            content = json.loads((directory / _LIST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BundleError(
                f"{_LIST} is missing, without which nothing can be filtered: {directory}",
                hint="Train the bundle again with this version.",
            ) from None
        kinds = {kind.__name__: kind for kind in KINDS.values()}
        columns = {
            one["name"]: kinds[one["kind"]].from_arrays(
                {part: mapped(directory / f"{number}.{part}.npy") for part in one["arrays"]}
            )
            for number, one in enumerate(content["columns"])
        }
        return cls(columns, content["rows"])

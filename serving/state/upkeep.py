"""Keeping a store: making again what follows from its log, and taking all of it to another store.

Rows are the same in every store: plain data by column, as the SQLite tables name them. What is JSON there is its value
here, and bytes are hex digits.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol, TypeAlias

from features.errors import ConfigError, StateError

Row: TypeAlias = Mapping[str, Any]

COUNTERS = "counters"
"""The newest numbers that were given, by name: a table of its own, so that none is given twice."""
IDENTITY = "item_log"
"""The table of the one row that tells one store from another."""
PLAIN = {
    *(("events", "details"), ("dead_letters", "content"), ("served", "answer")),
    *(("events", "context"), ("statements", "value"), ("attributes", "value"), ("audit", "detail")),
    *(("receipts", "removed"), ("receipts", "ids"), ("receipts", "report"), ("item_changes", "attributes")),
}
"""Columns that hold JSON, with their tables."""


class Upkeep(Protocol):
    """A store as whoever keeps it sees it. Every method raises `StateError` when it does not answer."""

    def rebuild(self) -> dict[str, int]:
        """Make again what follows from events and ids; rows by table. Nobody is to write meanwhile."""

    def rows(self) -> Iterator[tuple[str, Sequence[Row]]]:
        """All that is held, in parts of one table each, but for what `rebuild` makes; events in their order."""

    def put(self, table: str, rows: Sequence[Row]) -> None:
        """Store rows under their own numbers. The same rows again change nothing."""

    def identity(self) -> str | None:
        """What names this store, None for one in which nothing was ever stored."""

    def close(self) -> None:
        """Give back files and connections."""


class Digest:
    """Tells whether two stores hold the same rows, in whatever order they come."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._sums: dict[str, int] = {}

    def add(self, table: str, rows: Sequence[Row]) -> None:
        """Count rows in; counters are none."""
        if table == COUNTERS:
            return
        self.counts[table] = self.counts.get(table, 0) + len(rows)
        for row in rows:
            text = json.dumps(row, sort_keys=True).encode()
            number = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")
            self._sums[table] = (self._sums.get(table, 0) + number) % 2**128

    def differing(self, other: "Digest") -> list[str]:
        """The tables in which two stores differ."""
        tables = self.counts.keys() | other.counts.keys()
        return sorted(one for one in tables if self._sums.get(one, 0) != other._sums.get(one, 0))


def copy_store(source: Upkeep, target: Upkeep, progress: Callable[[int], object] = lambda _: None) -> dict[str, int]:
    """Take everything from one store to another, which must be new or a copy that was broken off; rows by table.

    `progress` is told of rows as they come. At the end all is read again from the target. Raises `ConfigError` for a
    target that holds something else, and `StateError` when the two differ, as when somebody wrote meanwhile.
    """
    with closing(source), closing(target):
        if target.identity() not in (None, source.identity()):
            raise ConfigError(
                "the store to copy to holds something of its own", field="--to", hint="Name a store that is new."
            )
        here, there = Digest(), Digest()
        for table, rows in source.rows():
            target.put(table, rows)
            here.add(table, rows)
            progress(len(rows))
        target.rebuild()
        for table, rows in target.rows():
            there.add(table, rows)
        if different := here.differing(there):
            raise StateError(
                f"the copy differs from the store in: {', '.join(different)}",
                field="--from",
                hint="Stop whatever writes to either of them, then copy again, into a new store.",
            )
    return here.counts

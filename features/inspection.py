"""What a check rule sees, and what it may answer: tables of any engine with numbered rows.

A rule is a function from `Inspection` to what it suspects: rows, which `features.checks` counts and shows,
or a remark on a whole column.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import narwhals as nw

from features.attribute_loading import attribute_columns, change_columns
from features.check_report import Severity
from features.dataset import ColumnConfig, DatasetConfig, ItemsConfig, UsersConfig
from features.event_loading import event_columns
from features.frames import Frame, collect


class Suspects(NamedTuple):
    """Rows of a table that break a rule; `rows` still has FILE, ROW and `column`."""

    table: str
    column: str
    rows: Frame
    message: str


class Remark(NamedTuple):
    """Something wrong with a column or a table as a whole."""

    table: str
    column: str | None
    value: str | None
    message: str
    affected: int = 1
    """What the report counts."""


Rule = Callable[["Inspection"], Iterable[Suspects | Remark]]


class RuleEntry(NamedTuple):
    """A rule with its name and severity."""

    name: str
    severity: Severity
    rule: Rule


class Attribute(NamedTuple):
    """A declared attribute column in the table that holds it."""

    table: str
    column: str
    config: ColumnConfig


@dataclass(frozen=True)
class Inspection:
    """The opened tables: "events", "users", "items", and "items.price" for a column's own `path`."""

    dataset: DatasetConfig
    tables: dict[str, Frame]
    now: int
    """ms since the epoch: later events lie in the future."""

    def has(self, table: str, column: str | None) -> bool:
        """Whether the column was named and exists."""
        return column is not None and table in self.tables and column in self.schema(table)

    def schema(self, table: str) -> dict[str, Any]:
        """dtypes of a table by column."""
        return dict(self.tables[table].collect_schema())

    def named(self, table: str) -> list[tuple[str, str]]:
        """(config key, column) of every column that the config names in a table."""
        if table == "events":
            found = event_columns(self.dataset)
        else:
            name, _, own = table.partition(".")
            config = self.entities(table)
            found = change_columns(config, name, own) if own else attribute_columns(config, name)
        return [(key, column) for key, column in found if column is not None]

    def entities(self, table: str) -> UsersConfig | ItemsConfig:
        """The section of "users", "items", or one of their columns."""
        return self.dataset.users if table.startswith("users") else self.dataset.items

    def ids(self) -> Iterator[tuple[str, str]]:
        """(table, column) of every id column that exists, event ids and types among them."""
        events = self.dataset.events
        for column in (events.user, events.item, events.type, events.id):
            if column is not None and self.has("events", column):
                yield "events", column
        for table in self.tables:
            if table != "events" and self.has(table, self.entities(table).id):
                yield table, self.entities(table).id

    def attributes(self) -> Iterator[Attribute]:
        """Every attribute and context column that exists."""
        for name, context in self.dataset.events.context.items():
            if self.has("events", name):
                yield Attribute("events", name, context)
        for table in ("users", "items"):
            for name, column in self.entities(table).columns.items():
                where = f"{table}.{name}" if column.path else table
                if self.has(where, name):
                    yield Attribute(where, name, column)

    def times(self) -> Iterator[tuple[str, str, bool]]:
        """(table, column, whether a time may be missing) of every time column that exists."""
        if self.has("events", self.dataset.order.time):
            yield "events", str(self.dataset.order.time), False
        for table, name, column in self.attributes():
            if self.has(table, column.time):
                yield table, str(column.time), False
            if column.role in ("time", "birth_date"):
                yield table, name, True
        available = self.dataset.items.available
        for bound in (available.from_, available.to):
            if self.has("items", bound):
                yield "items", str(bound), True

    def private(self, table: str, column: str) -> bool:
        """Whether values of a column tell something of a person."""
        events = self.dataset.events
        if table == "events":
            return column in (events.user, events.session, *events.context)
        return table.startswith("users")


def number_of(frame: Frame, condition: nw.Expr | None = None) -> int:
    """How many rows there are, or fulfil a condition."""
    chosen = frame if condition is None else frame.filter(condition)
    return int(collect(chosen.select(nw.len().alias("count")))["count"][0].as_py())

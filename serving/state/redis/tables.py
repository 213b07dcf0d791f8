"""The tables of the Redis store: rows of one person, one hash each, in the columns that the SQLite store has too.

A field of the hash holds the columns of a row's key, its value the others, both as JSON arrays; a number that is the
whole key stands there as it is. `taken`, which follows from the events, is told by type and item, with a line between.
"""

from typing import NamedTuple


class Table(NamedTuple):
    """The columns of a table beside `person`."""

    key: tuple[str, ...]
    """Those that tell one row of a person from another."""
    columns: tuple[str, ...]
    """The others."""


TABLES = {
    "events": Table(
        ("number",), ("event_id", "item_id", "type", "moment", "value", "context", "request_id", "details")
    ),
    "statements": Table(("number",), ("kind", "key", "value", "moment", "source")),
    "dead_letters": Table(("number",), ("digest", "content", "moment", "field", "message")),
    "served": Table(("number",), ("request_id", "moment", "answer")),
    "audit_keys": Table(("number",), ("key",)),
    "taken": Table(("item_id", "type"), ("moment",)),
    "attributes": Table(("name", "moment"), ("value",)),
}
LOGGED = ("dead_letters", "served")
"""Tables that have a stream of their numbers, and whose first column tells one row from all others."""
OWNED = ("events", "statements", *LOGGED, "audit_keys")
"""Tables whose rows are the other person's after a merge; ids and what was taken are merged in a way of their own."""
PERSONAL = (*OWNED, "taken", "attributes")
"""Tables that an erasure removes."""

"""The log of what was served, as `tailorbird export-log` writes it: as of when, and on what question, a list was made.

Training reads it to put itself back into the moment of an answer; who saw and who did what stands in the events.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from features.dataset import DatasetConfig
from features.errors import DataError
from features.frames import Engine, Frames, collect, require_columns
from features.reading import open_table

_FIELD = "dataset.served.path"
_COLUMNS = ("request_id", "user_id", "anonymous_id", "answered_for", "seen", "query")


class ServedAnswer(NamedTuple):
    """One answer."""

    user_id: str | None
    anonymous_id: str | None
    moment: int
    """The moment of the question, as in `features.moments`."""
    seen: int | None
    """A number that no event exceeds which the answer knew of, see `EventTable.arrivals`."""
    text: str
    """The question as JSON."""

    @property
    def query(self) -> Mapping[str, Any]:
        """What was asked: k, exclude, filter, context, events, and so on."""
        content: Mapping[str, Any] = json.loads(self.text)
        return content

    def is_to(self, person_id: str) -> bool:
        """Whether a person of the table of events was answered."""
        return person_id in (self.user_id, self.anonymous_id)


class ServedAnswers:
    """Answers by the id of the request."""

    def __init__(self, table: pa.Table) -> None:
        """`table` has the columns of the export."""
        self._table = table

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._table["request_id"].to_pylist())}

    def find(self, request_id: str | None, person_id: str) -> ServedAnswer | None:
        """The answer to a request, None where there is none, or it went to somebody else."""
        place = None if request_id is None else self._places.get(request_id)
        if place is None:
            return None
        user, visitor, moment, seen, text = (self._table[name][place].as_py() for name in _COLUMNS[1:])
        found = ServedAnswer(user, visitor, moment, seen, text)
        return found if found.is_to(person_id) else None


def load_served(
    dataset: DatasetConfig, folder: Path, frames: Frames | None = None, engine: Engine = "pandas"
) -> ServedAnswers | None:
    """What `dataset.served` names, None without it; arguments and errors are those of `load_tables`."""
    frame = None if dataset.served is None else open_table(dataset.served, "served", folder, engine, frames)
    if frame is None:
        return None
    require_columns(frame, [(f"served.{name}", name) for name in _COLUMNS], "served")
    table = collect(frame.select(_COLUMNS), _FIELD)
    try:
        kinds = {name: pa.int64() if name in ("answered_for", "seen") else pa.string() for name in _COLUMNS}
        return ServedAnswers(table.select(_COLUMNS).cast(pa.schema(kinds)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(
            "this is no log of what was served",
            field=_FIELD,
            hint="Name the files that `tailorbird export-log` wrote under served/.",
        ) from None

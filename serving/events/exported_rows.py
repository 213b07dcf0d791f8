"""Rows of exported logs as Arrow tables, in the columns that a dataset section then names."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from features.dataset import DatasetConfig, Role
from features.event_details import DETAILS
from serving.state.event_log import LoggedEvent
from serving.state.served_log import LoggedAnswer

TIME = pa.timestamp("ms", "UTC")
_ITEM = pa.struct([("item_id", pa.string()), ("score", pa.float64()), ("source", pa.string())])
_SERVED = pa.schema(
    {
        "number": pa.int64(),
        "request_id": pa.string(),
        "user_id": pa.string(),
        "anonymous_id": pa.string(),
        "time": TIME,
        "answered_for": pa.int64(),
        "placement": pa.string(),
        "items": pa.list_(_ITEM),
        "bundle": pa.string(),
        "policy": pa.string(),
        "propensity": pa.float64(),
        "seen": pa.int64(),
        "query": pa.string(),
    }
)


class EventColumns:
    """Names and kinds of the columns of exported events; a context column keeps its name, others give way."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self._dataset = dataset
        kinds: dict[str, pa.DataType] = {
            **dict.fromkeys(("event_id", "user_id", "item_id", "type", "request_id"), pa.string()),
            **dict.fromkeys(("value", *DETAILS), pa.float64()),
            "number": pa.int64(),
            "anonymous": pa.bool_(),
            "time" if dataset.timed else "sequence": TIME if dataset.timed else pa.int64(),
        }
        self.names = {name: _free(name, dataset.events.context) for name in kinds}
        """Column of each field."""
        context = {name: _kind(column.role) for name, column in dataset.events.context.items()}
        self._schema = pa.schema({**{self.names[name]: kind for name, kind in kinds.items()}, **context})

    def table(self, events: Sequence[LoggedEvent]) -> pa.Table:
        """One row for each event."""
        return pa.Table.from_pylist([self._row(one) for one in events], schema=self._schema)

    def _row(self, logged: LoggedEvent) -> dict[str, Any]:
        event = logged.event
        fields: dict[str, Any] = {
            "number": logged.number,
            "event_id": event.event_id,
            "user_id": event.anonymous_id if event.user_id is None else event.user_id,
            "anonymous": event.user_id is None,
            "item_id": event.item_id,
            "type": event.type,
            "time" if self._dataset.timed else "sequence": event.moment,
            "value": event.value,
            "request_id": event.request_id,
        }
        fields.update({str(name): told for name, told in (event.details or {}).items()})
        context = event.context or {}
        told = {name: _as(column.role, context.get(name)) for name, column in self._dataset.events.context.items()}
        return {**{self.names[name]: value for name, value in fields.items()}, **told}

    def section(self, path: str) -> dict[str, Any]:
        """The keys of a dataset section that read these columns: `order` and `events`."""
        names = self.names
        order = {"time": names["time"], "sequence": names["number"]} if self._dataset.timed else {}
        events = {
            "path": path,
            "id": names["event_id"],
            "request": names["request_id"],
            **{key: names[f"{key}_id"] for key in ("user", "item")},
            **{key: names[key] for key in ("type", "value", *DETAILS)},
        }
        return {"order": order or {"sequence": names["sequence"]}, "events": events}


def served_table(answers: Sequence[LoggedAnswer]) -> pa.Table:
    """One row for each answer."""
    rows = []
    for number, row in answers:
        items = [item._asdict() for item in row.items]
        query = json.dumps(row.query, ensure_ascii=False)
        rows.append({**row._asdict(), "number": number, "time": row.moment, "items": items, "query": query})
    return pa.Table.from_pylist(rows, schema=_SERVED)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _kind(role: Role) -> pa.DataType:
    match role:
        case "numeric":
            return pa.float64()
        case "multi_categorical":
            return pa.list_(pa.string())
    return pa.string()


def _as(role: Role, value: Any) -> Any:
    """A value of the state as the column of its role holds it, and as the loader of that role reads it back."""
    if value is None:
        return None
    match role:
        case "numeric":
            return float(value)
        case "multi_categorical":
            return [str(one) for one in value] if isinstance(value, list) else [str(value)]
    return str(value)

"""What is kept of an event that was refused: nothing that an erasure of its person would not find.

Of an event that names one person, all known fields are kept, of others only their names. Whoever else may be named in
an event that names none, or two, cannot be told; of such a one only the kind of its content is kept.
"""

import json
from typing import Any

from features.moments import to_moment
from serving.api.replies import EventReply
from serving.api.requests import MAX_ID, Event
from serving.state.dead_letters import Refused

MAX_CHARACTERS = 10_000
"""Of a longer event only the fields' names are kept."""
_OF_NOBODY = ("item_id", "type", "time")
_PERSONS = ("user_id", "anonymous_id")


def refused(content: Any, reply: EventReply, now: int) -> Refused:
    """The letter of a posted event that was answered as rejected at `now`."""
    message = reply.message or ""
    fields: dict[str, Any] = content if isinstance(content, dict) else {}
    named = {name: fields[name] for name in _PERSONS if fields.get(name) is not None}
    if len(named) == 1 and all(isinstance(one, str) and 0 < len(one) <= MAX_ID for one in named.values()):
        known = {name: value if name in Event.model_fields else None for name, value in fields.items()}
        kept = known if len(json.dumps(known)) <= MAX_CHARACTERS else {**dict.fromkeys(known), **named}
        return Refused(kept, _moment(fields, now), message, reply.field, **named)
    kept = {name: _short(fields[name]) if name in _OF_NOBODY else None for name in fields if name in Event.model_fields}
    return Refused(kept, now, message.partition("; got ")[0], reply.field)


def _moment(fields: dict[str, Any], now: int) -> int:
    """When the event happened, if it says so and that is past."""
    try:
        return min(to_moment(str(fields.get("time")).upper()), now)
    except (ValueError, OverflowError):
        return now


def _short(value: Any) -> Any:
    return value if isinstance(value, str) and len(value) <= MAX_ID else None

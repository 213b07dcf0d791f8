"""Whom a request is about: read by the guard, who lets a token ask about its own person alone, and by the audit log."""

from collections.abc import Sequence
from typing import Any

from serving.api.requests import BatchRequest, EventsRequest
from serving.state.audit_log import Ids


def asker(request: Any) -> Sequence[Ids]:
    """The person who asks, if the request names one, by whatever class it comes."""
    ids = (getattr(request, "user_id", None), getattr(request, "anonymous_id", None))
    return () if ids == (None, None) else [ids]


def listed_users(request: BatchRequest) -> Sequence[Ids]:
    """All users whose lists are asked for."""
    return [(user_id, None) for user_id in request.user_ids]


def doers(request: EventsRequest) -> Sequence[Ids]:
    """Who did the events, as far as it can be read: events are checked one by one, and later."""
    events = [event for event in request.events if isinstance(event, dict)]
    return [(_text(event.get("user_id")), _text(event.get("anonymous_id"))) for event in events]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

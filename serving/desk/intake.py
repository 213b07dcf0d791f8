"""What a request says, held against the bundle's data set: event types, context columns, and times.

Anything that the data set does not know is refused by name, never silently left out.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from features.dataset import DatasetConfig
from features.errors import RequestError
from serving.api.problems import id_in, in_words, of_validation
from serving.api.replies import EventReply
from serving.api.requests import Context, Event, InlineEvent
from serving.desk.permission import CLOCK_SKEW
from serving.state.protocol import Outcome, StoredEvent


class Intake:
    """Checks events and contexts for one data set."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self._types = tuple(dataset.types)
        self._columns = frozenset(dataset.events.context)

    def posted(self, content: Any, now: int) -> StoredEvent | EventReply:
        """An event that can be stored, or why it cannot."""
        try:
            event = Event.model_validate(content)
            return self.event(event, now)._replace(
                user_id=event.user_id, anonymous_id=event.anonymous_id, request_id=event.request_id
            )
        except ValidationError as error:
            problem = of_validation(error, Event)
        except RequestError as error:
            problem = error
        return EventReply(
            event_id=id_in(content, "event_id"), status="rejected", field=problem.field, message=in_words(problem)
        )

    def event(self, event: InlineEvent, now: int, place: str = "") -> StoredEvent:
        """The event as the store has it, of nobody yet; `place` stands before the field's name in errors."""
        if event.type not in self._types:
            raise RequestError(
                "there is no such event type",
                field=f"{place}type",
                hint=f"The types are: {', '.join(self._types)}.",
            )
        if event.time is not None and event.time > now + CLOCK_SKEW:
            raise RequestError(
                "the event lies in the future",
                field=f"{place}time",
                hint="Send the time at which it happened, with its zone.",
            )
        return StoredEvent(
            event_id=event.event_id or "",
            item_id=event.item_id,
            type=event.type,
            moment=now if event.time is None else event.time,
            value=event.value,
            context=self.context(event.context, f"{place}context.") or None,
            details=event.details or None,
        )

    def context(self, context: Context | None, place: str = "context.") -> Mapping[str, Any]:
        """The given circumstances without the time."""
        if context is None:
            return {}
        strange = (context.model_extra or {}).keys() - self._columns
        if strange:
            names = sorted({*Context.model_fields, *self._columns})
            raise RequestError(
                "there is no such field",
                field=f"{place}{min(strange)}",
                hint=f"The fields are: {', '.join(names)}.",
            )
        return context.values()


def event_reply(event: StoredEvent, outcome: Outcome) -> EventReply:
    """What became of an event that was right."""
    if outcome != "erased":
        return EventReply(event_id=event.event_id, status=outcome)
    return EventReply(
        event_id=event.event_id,
        status="rejected",
        field="time",
        message="the person was erased after this event. Do not send it again; what they do from now on is stored.",
    )

"""What the service answers: the models behind its JSON. Fields that have nothing to say are left out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from serving.answers import Answer, RankedItem


class Reply(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Stamped(Reply):
    """What every answer carries."""

    request_id: str
    """Names this answer; send it along with the events that follow from it."""
    bundle: str
    """The model that answered."""


class ReasonReply(Reply):
    """Why an item was picked."""

    code: str
    """The kind of reason: the source that brought the item."""
    item_id: str | None = None
    """The item of the person's own past that speaks most for the pick."""
    title: str | None = None
    """That item's name."""
    weight: float = 0.0
    """How much it speaks for the pick, in the source's own measure."""


class ItemReply(Reply):
    """One item of a list."""

    item_id: str
    title: str | None = None
    score: float
    """By this the list is in order; comparable within one answer only."""
    probabilities: dict[str, float] | None = None
    """Calibrated probability of each event type."""
    source: str | None = None
    """The candidate source that ranks it best; none when a given item is in no source's list."""
    reasons: list[ReasonReply] | None = None
    """When asked to explain."""


class ShortfallReply(Reply):
    """Why there are fewer items than wanted."""

    wanted: int
    given: int
    cause: str


class ListReply(Stamped):
    """Items in order, best first."""

    items: list[ItemReply]
    shortfall: ShortfallReply | None = None
    """When there are fewer items than wanted."""
    unknown: list[str] | None = None
    """Given items that the model does not know; they stand in no order."""
    timings: dict[str, float] | None = None
    """Milliseconds by stage, when asked to explain."""


class EventReply(Reply):
    """What became of one event."""

    event_id: str | None = None
    """Left out when the event has none that can be read."""
    status: Literal["stored", "duplicate", "rejected"]
    field: str | None = None
    """The field for which the event was rejected."""
    message: str | None = None
    """Why it was rejected, and what to do."""


class EventsReply(Stamped):
    """What became of each event, in the order of the request."""

    stored: int
    duplicate: int
    rejected: int
    results: list[EventReply]


class ItemChangeReply(Reply):
    """What became of one item's change."""

    item_id: str | None = None
    """Left out when the record has none that can be read."""
    status: Literal["stored", "rejected"]
    number: int | None = None
    """Its place in the order of all changes, when it was stored."""
    field: str | None = None
    """The field for which the record was rejected."""
    message: str | None = None
    """Why it was rejected, and what to do."""


class ItemsReply(Stamped):
    """What became of each item's change, in the order of the request."""

    stored: int
    rejected: int
    results: list[ItemChangeReply]


class PastEvent(Reply):
    """Something that the person did."""

    item_id: str
    title: str | None = None
    type: str
    time: str | None = None
    """When it happened, where events have a time."""
    value: float | None = None


class ProfileReply(Stamped):
    """What is known of a person."""

    user_id: str | None = None
    anonymous_id: str | None = None
    events: list[PastEvent]
    """Newest first."""
    items_taken: int
    """Number of different items that the person ever did something with."""


class ErrorDetail(Reply):
    """What went wrong and what to do."""

    code: str
    message: str
    field: str | None = None
    hint: str | None = None
    request_id: str


class ErrorReply(Reply):
    """The one form of every error."""

    error: ErrorDetail


def list_reply(answer: Answer, request_id: str, bundle: str, *, explain: bool) -> ListReply:
    """A pipeline's answer as JSON has it."""
    return ListReply(
        request_id=request_id,
        bundle=bundle,
        items=[_item_reply(item, explain=explain) for item in answer.items],
        shortfall=None if answer.shortfall is None else ShortfallReply(**vars(answer.shortfall)),
        unknown=list(answer.unknown) or None,
        timings=answer.timings if explain else None,
    )


def _item_reply(item: RankedItem, *, explain: bool) -> ItemReply:
    reasons = [ReasonReply(**vars(reason)) for reason in item.reasons]
    return ItemReply(
        item_id=item.item_id,
        title=item.title,
        score=item.score,
        probabilities=item.probabilities or None,
        source=item.sources[0] if item.sources else None,
        reasons=reasons if explain else None,
    )

"""What the service answers: the structures behind its JSON. A field that is None has nothing to say and is left out.

They are msgspec's, not pydantic's: nothing in an answer needs a check, and both making and writing them take a
tenth of the time. A default other than None would be left out too, so there is none.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from serving.answers import Answer, RankedItem, Reason


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of an answer."""


class Stamped(Reply, frozen=True, kw_only=True):
    """What every answer carries."""

    request_id: str
    """Names this answer; send it along with the events that follow from it."""
    bundle: str
    """The model that answered."""


class ReasonReply(Reply, frozen=True, kw_only=True):
    """Why an item was picked."""

    code: str
    """The kind of reason: the source that brought the item."""
    item_id: str | None = None
    """The item of the person's own past that speaks most for the pick."""
    title: str | None = None
    """That item's name."""
    weight: float
    """How much it speaks for the pick, in the source's own measure."""


class ItemReply(Reply, frozen=True, kw_only=True):
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
    """When asked to explain, unless the answer was `degraded`."""


class ShortfallReply(Reply, frozen=True, kw_only=True):
    """Why there are fewer items than wanted."""

    wanted: int
    given: int
    cause: str


class FilteringReply(Reply, frozen=True, kw_only=True):
    """What the filter did."""

    selectivity: float
    """Share of all items that pass it."""
    plan: Literal["exact", "probed"]
    """Whether each item that may be shown was looked at, or those in the nearest cells of the index."""
    cells: int
    """Number of these cells; 0 when exact."""


class ListReply(Stamped, frozen=True, kw_only=True):
    """Items in order, best first."""

    items: list[ItemReply]
    shortfall: ShortfallReply | None = None
    """When there are fewer items than wanted."""
    unknown: list[str] | None = None
    """Given items that the model does not know; they stand in no order."""
    timings: dict[str, float] | None = None
    """Milliseconds by stage, when asked to explain."""
    filtering: FilteringReply | None = None
    """When the request had a filter."""
    degraded: list[Literal["state", "explanations", "ranker"]] | None = None
    """What the answer had to do without: what is stored of the person, because the store does not answer; reasons, or
    the ranker, because time was short."""
    not_personal: Literal["denied", "unknown", "state"] | None = None
    """When nothing of the person was read but their consent, and the list follows from the context alone: because they
    denied `personalize`, because they were never asked, or because the store does not answer."""


class EventReply(Reply, frozen=True, kw_only=True):
    """What became of one event."""

    event_id: str | None = None
    """Left out when the event has none that can be read."""
    status: Literal["stored", "duplicate", "rejected", "not_stored"]
    """`not_stored`: the person agreed to no purpose for which events are stored."""
    field: str | None = None
    """The field for which the event was rejected."""
    message: str | None = None
    """Why it was rejected, and what to do."""


class EventsReply(Stamped, frozen=True, kw_only=True):
    """What became of each event, in the order of the request."""

    stored: int
    duplicate: int
    rejected: int
    not_stored: int
    results: list[EventReply]


class ItemChangeReply(Reply, frozen=True, kw_only=True):
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


class ItemsReply(Stamped, frozen=True, kw_only=True):
    """What became of each item's change, in the order of the request."""

    stored: int
    rejected: int
    results: list[ItemChangeReply]


class PastEvent(Reply, frozen=True, kw_only=True):
    """Something that the person did."""

    item_id: str
    title: str | None = None
    type: str
    time: str | None = None
    """When it happened, where events have a time."""
    value: float | None = None


class ProfileReply(Stamped, frozen=True, kw_only=True):
    """What is known of a person."""

    user_id: str | None = None
    anonymous_id: str | None = None
    events: list[PastEvent]
    """Newest first."""
    items_taken: int
    """Number of different items that the person ever did something with."""


class RefusedReply(Reply, frozen=True, kw_only=True):
    """The bundle that the registry names and that does not answer."""

    bundle: str
    """Where it lies."""
    reason: str


class ReadyReply(Reply, frozen=True, kw_only=True):
    """The service answers."""

    ready: bool
    bundle: str
    """The model that answers."""
    item_changes: int
    """Up to which change of items this worker answers."""
    refused: RefusedReply | None = None
    """Why a bundle that was promoted does not answer in this one's place."""
    degraded: list[Literal["state"]] | None = None
    """What answers must do without for now: what is stored of people, because the store does not answer."""


class ErrorDetail(Reply, frozen=True, kw_only=True):
    """What went wrong and what to do."""

    code: str
    message: str
    field: str | None = None
    hint: str | None = None
    request_id: str


class ErrorReply(Reply, frozen=True, kw_only=True):
    """The one form of every error."""

    error: ErrorDetail


class UserListReply(Reply, frozen=True, kw_only=True):
    """One user's list, as /v1/recommend would answer it."""

    user_id: str
    items: list[ItemReply]
    """Best first; none when there is an `error`."""
    shortfall: ShortfallReply | None = None
    """When there are fewer items than wanted."""
    filtering: FilteringReply | None = None
    """When the request had a filter."""
    degraded: list[Literal["state"]] | None = None
    """What the list had to do without: what is stored of the user, because the store does not answer."""
    not_personal: Literal["denied", "unknown", "state"] | None = None
    """When nothing of the user was read but their consent, as in /v1/recommend."""
    error: ErrorDetail | None = None
    """Why this user has no list; the others have theirs."""


class BatchReply(Stamped, frozen=True, kw_only=True):
    """One list for each user."""

    lists: list[UserListReply]
    """In the order of the request."""


def list_reply(
    answer: Answer,
    request_id: str,
    bundle: str,
    *,
    explain: bool,
    without: Sequence[Literal["state"]] = (),
    not_personal: Literal["denied", "unknown", "state"] | None = None,
) -> ListReply:
    """A pipeline's answer as JSON has it; `without` names what the pipeline was not given, `not_personal` why nothing
    of the person."""
    short = answer.shortfall
    reasoned = explain and not answer.degraded
    return ListReply(
        request_id=request_id,
        bundle=bundle,
        items=[_item_reply(item, reasoned=reasoned) for item in answer.items],
        shortfall=None if short is None else ShortfallReply(wanted=short.wanted, given=short.given, cause=short.cause),
        unknown=list(answer.unknown) or None,
        timings=answer.timings if explain else None,
        filtering=None if answer.filtering is None else FilteringReply(**vars(answer.filtering)),
        degraded=[*without, *answer.degraded] or None,
        not_personal=not_personal,
    )


def _item_reply(item: RankedItem, *, reasoned: bool) -> ItemReply:
    return ItemReply(
        item_id=item.item_id,
        title=item.title,
        score=item.score,
        probabilities=item.probabilities or None,
        source=item.sources[0] if item.sources else None,
        reasons=[_reason_reply(reason) for reason in item.reasons] if reasoned else None,
    )


def _reason_reply(reason: Reason) -> ReasonReply:
    return ReasonReply(code=reason.code, item_id=reason.item_id, title=reason.title, weight=reason.weight)

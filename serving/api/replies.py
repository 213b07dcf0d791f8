"""What the service answers: the structures behind its JSON. A field that is None has nothing to say and is left out.

They are msgspec's, not pydantic's: nothing in an answer needs a check, and both making and writing them take a
tenth of the time. A default other than None would be left out too, so there is none.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from serving.answers import Answer, Code, RankedItem, Reason
from serving.reasons.sentences import sentence_of
from serving.reasons.wording import Words


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of an answer."""


class Stamped(Reply, frozen=True, kw_only=True):
    """What every answer carries."""

    request_id: str
    """Names this answer; send it along with the events that follow from it."""
    bundle: str
    """The model that answered."""


class ReasonReply(Reply, frozen=True, kw_only=True):
    """One thing without which an item would stand lower."""

    code: Code
    """Of the past: `again`, the item itself; `transitions`, one that it often follows; `nearest`, one that it is like;
    `history`, another. Of the person: `attribute`, `context`. What they declared: `liked`, `interest`, `pinned`.
    Of the item: `popular`, `trending`, `new`. `general`: nothing that is known speaks for it by itself."""
    sentence: str
    """The same in words."""
    weight: float
    """How much lower the item's score would be without it: the models were asked again."""
    places: int
    """How many places further down it would stand, among the best."""
    item_id: str | None = None
    """The item of the person's own past, or one that they like."""
    title: str | None = None
    """That item's name."""
    times: int | None = None
    """How many of the person's events with that item were read; they count together."""
    last: str | None = None
    """When the newest of them happened, where events have a time."""
    name: str | None = None
    """Of the attribute, of the person or of the item, or of the column of the context."""
    value: str | None = None
    """What is known there."""
    protected: bool | None = None
    """True for a protected attribute."""
    place: int | None = None
    """The item's place among all items, by what the code names."""
    count: int | None = None
    """How often people chose it."""
    days: int | None = None
    """Since it was first chosen."""


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
    language: str | None = None
    """Of the sentences, when asked to explain."""
    language_missing: str | None = None
    """What was asked for in its place, when there are no sentences in it."""
    degraded: list[Literal["state", "explanations", "ranker"]] | None = None
    """What the answer had to do without: what is stored of the person, because the store does not answer; reasons, or
    the ranker, because time was short."""
    former_bundle: str | None = None
    """With `after`: the model that made the page before, when it answers no more and this page is another's."""
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


class RefusedReply(Reply, frozen=True, kw_only=True):
    """The bundle that the registry names and that does not answer."""

    bundle: str
    """Where it lies."""
    reason: str


class CompanionReply(Reply, frozen=True, kw_only=True):
    """A bundle that the registry names beside the live one."""

    bundle: str | None = None
    """The model; left out while it is being opened, and when it is refused."""
    share: float | None = None
    """Of the people whom a canary answers."""
    refused: RefusedReply | None = None
    """Why it does not answer."""


class ReadyReply(Reply, frozen=True, kw_only=True):
    """The service answers."""

    ready: bool
    bundle: str
    """The model that answers."""
    item_changes: int
    """Up to which change of items this worker answers."""
    refused: RefusedReply | None = None
    """Why a bundle that was promoted does not answer in this one's place."""
    registry: str | None = None
    """Why the registry's address is not followed, and since when: what was fetched before goes on."""
    canary: CompanionReply | None = None
    """What answers a share of the people in its place."""
    shadow: CompanionReply | None = None
    """What answers the same questions for nobody, to be compared."""
    degraded: list[Literal["state"]] | None = None
    """What answers must do without for now: what is stored of people, because the store does not answer."""
    may_lose: str | None = None
    """What the store's settings let a crash or a power loss take of what was acknowledged; absent when nothing."""


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
    bundle: str | None = None
    """The model that made this list, where it is another than the answer's: a canary answers some of the users."""
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
    words: Words | None = None,
    without: Sequence[Literal["state"]] = (),
    not_personal: Literal["denied", "unknown", "state"] | None = None,
    former_bundle: str | None = None,
) -> ListReply:
    """A pipeline's answer as JSON has it, with reasons and times when there are `words` to tell them in.

    `without` names what the pipeline was not given, `not_personal` why nothing of the person, `former_bundle` what made
    the page before, where it was another.
    """
    short = answer.shortfall
    reasoned = None if answer.degraded else words
    return ListReply(
        request_id=request_id,
        bundle=bundle,
        items=[_item_reply(item, reasoned) for item in answer.items],
        shortfall=None if short is None else ShortfallReply(wanted=short.wanted, given=short.given, cause=short.cause),
        unknown=list(answer.unknown) or None,
        timings=answer.timings if words else None,
        filtering=None if answer.filtering is None else FilteringReply(**vars(answer.filtering)),
        language=reasoned.language.name if reasoned else None,
        language_missing=reasoned.missing if reasoned else None,
        degraded=[*without, *answer.degraded] or None,
        not_personal=not_personal,
        former_bundle=former_bundle,
    )


def _item_reply(item: RankedItem, words: Words | None) -> ItemReply:
    return ItemReply(
        item_id=item.item_id,
        title=item.title,
        score=item.score,
        probabilities=item.probabilities or None,
        source=item.sources[0] if item.sources else None,
        reasons=[reason_reply(reason, words) for reason in item.reasons] if words else None,
    )


def reason_reply(reason: Reason, words: Words) -> ReasonReply:
    """A reason as JSON has it."""
    fields = {**vars(reason), "last": None if reason.last is None else words.when(reason.last)}
    del fields["moment"]
    return ReasonReply(sentence=sentence_of(reason, words.language), **fields)

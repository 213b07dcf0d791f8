"""`/v1/profile`: what is known of a person, what is made of it, what for and for how long; single facts put right."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from features.consent import STORING, decide
from features.moments import to_text, written
from features.statements import said_at
from serving.api.replies import Reply, Stamped
from serving.api.requests import Id, PersonRequest
from serving.desk.desk import Desk
from serving.person.interests import inferred_interests, segment
from serving.person.users import UserIntake, store_edits
from serving.state.protocol import StoredEvent

READ_EVENTS = 1_000
"""Newest events from which interests are inferred."""


class ProfileRequest(PersonRequest):
    """What is known of this person?"""

    newest: Annotated[int, Field(ge=1, le=READ_EVENTS)] = 50
    """Number of newest events to show."""


class CorrectRequest(PersonRequest):
    """Single facts that this person puts right; each acts on the next answer."""

    remove_events: Annotated[list[Id], Field(max_length=100)] = []
    """Ids of events that shall no longer be known."""
    attributes: dict[str, Any] = {}
    """Right values by column of the user table; null removes what is known. Of users only."""

    @model_validator(mode="after")
    def _says_something_of_somebody(self) -> Self:
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("give user_id, anonymous_id, or both at a login")
        if not self.remove_events and not self.attributes:
            raise ValueError("name what is wrong: remove_events, attributes, or both")
        if self.attributes and self.user_id is None:
            raise ValueError("attributes are of users: give user_id")
        return self


class PastEvent(Reply, frozen=True, kw_only=True):
    """Something that the person did."""

    event_id: str
    """By this, `/v1/profile/correct` removes it."""
    item_id: str
    title: str | None = None
    type: str
    time: str | None = None
    """When it happened, where events have a time."""
    value: float | None = None


class KnownAttribute(Reply, frozen=True, kw_only=True):
    """Something that the company says of the person."""

    name: str
    value: Any
    since: str | None = None
    """From when it holds, for what changes."""
    protected: bool
    """Whether results are reported by it, so that nobody is treated worse for it."""


class DeclaredReply(Reply, frozen=True, kw_only=True):
    """Something that the person declared, or that was declared for them."""

    kind: str
    key: str
    value: Any
    time: str | None = None
    """Left out when nobody knows, as of tables that came without times."""
    source: str


class InterestReply(Reply, frozen=True, kw_only=True):
    """A category that the person turns to, as their past says."""

    attribute: str
    value: str
    share: float
    """Of all that they did, weighted by event type and age."""
    events: int
    """Events that say it."""
    items: list[str]
    """The items among them that say most."""


class InferredReply(Reply, frozen=True, kw_only=True):
    """What is made of it."""

    segment: str
    """How often they come, in words."""
    interests: list[InterestReply]


class UseReply(Reply, frozen=True, kw_only=True):
    """What something is used for, and for how long it is kept."""

    what: str
    purposes: dict[str, bool]
    """Whether it is used, by purpose; `/v1/consent` changes that."""
    kept: str


class ProfileReply(Stamped, frozen=True, kw_only=True):
    """What is known of a person."""

    user_id: str | None = None
    anonymous_id: str | None = None
    events: list[PastEvent]
    """Newest first."""
    items_taken: int
    """Number of different items that the person ever did something with."""
    attributes: list[KnownAttribute]
    declared: list[DeclaredReply]
    """Newest first."""
    inferred: InferredReply
    uses: list[UseReply]


class CorrectReply(Stamped, frozen=True, kw_only=True):
    """What was put right."""

    removed_events: list[str]
    unknown_events: list[str] | None = None
    """Ids that are none of this person's events."""
    attributes: list[str]
    """Columns that were set or removed."""
    not_stored: list[str] | None = None
    """Columns whose value was not kept, because the person does not allow it."""


def profile(desk: Desk, request: ProfileRequest, request_id: str) -> ProfileReply:
    """What is known of a person, what is made of it, what it is used for, and for how long it is kept."""
    ids, now = (request.user_id, request.anonymous_id), desk.clock()
    events = desk.state.history(*ids, newest=READ_EVENTS)
    person = desk.state.person(*ids, newest=1)
    statements = desk.state.statements(*ids)
    interests = inferred_interests(events, desk.schema, desk.pipeline.bundle.catalogue, now)
    return ProfileReply(
        request_id=request_id,
        bundle=desk.bundle,
        user_id=request.user_id,
        anonymous_id=request.anonymous_id,
        events=_past(desk, events[-request.newest :])[::-1],
        items_taken=len(set(person.taken.item_ids)) if person.taken else 0,
        attributes=[
            *(_attribute(desk, name, value) for name, value in person.attributes.items()),
            *(_attribute(desk, name, one[-1].value, one[-1].moment) for name, one in person.changes.items() if one),
        ],
        declared=[
            DeclaredReply(kind=one.kind, key=one.key, value=one.value, time=said_at(one.moment), source=one.source)
            for one in reversed(statements)
        ],
        inferred=InferredReply(
            segment=segment(events, desk.schema, now),
            interests=[
                InterestReply(
                    attribute=one.attribute,
                    value=one.value,
                    share=round(one.share, 4),
                    events=one.events,
                    items=list(one.item_ids),
                )
                for one in interests
            ],
        ),
        uses=_uses(desk, {one: decide(one, statements, desk.consent, now).allowed for one in desk.consent.purposes}),
    )


def correct(desk: Desk, request: CorrectRequest, request_id: str) -> CorrectReply:
    """Remove events that are wrong, set or remove attributes; the next answer goes by it."""
    edit = UserIntake(desk.schema.dataset).edit(request.user_id or "", request.attributes)
    wanted = list(dict.fromkeys(request.remove_events))
    ids, now = (request.user_id, request.anonymous_id), desk.clock()
    gone = [one for one in wanted if desk.state.remove_event(*ids, one, moment=now)]
    refused = store_edits(desk, [edit])[edit.user_id] if request.attributes else frozenset()
    return CorrectReply(
        request_id=request_id,
        bundle=desk.bundle,
        removed_events=gone,
        unknown_events=[one for one in wanted if one not in gone] or None,
        attributes=[one for one in request.attributes if one not in refused],
        not_stored=sorted(refused) or None,
    )


def _past(desk: Desk, events: list[StoredEvent]) -> list[PastEvent]:
    schema, catalogue = desk.schema, desk.pipeline.bundle.catalogue
    rows = schema.items.rows([event.item_id for event in events]).tolist()
    return [
        PastEvent(
            event_id=event.event_id,
            item_id=event.item_id,
            title=catalogue.title(row),
            type=event.type,
            time=to_text(event.moment) if schema.timed else None,
            value=event.value,
        )
        for event, row in zip(events, rows, strict=True)
    ]


def _attribute(desk: Desk, name: str, value: Any, moment: int | None = None) -> KnownAttribute:
    column = desk.schema.dataset.users.columns.get(name)
    dated = column is not None and column.role in ("birth_date", "time") and value is not None
    return KnownAttribute(
        name=name,
        value=written(value, day=column.role == "birth_date").text if column and dated else value,
        since=None if moment is None else to_text(moment),
        protected=column is not None and column.protected,
    )


def _uses(desk: Desk, allowed: dict[str, bool]) -> list[UseReply]:
    """By kind of what is held."""
    storing = [one for one in STORING if allowed[one]]
    by_purpose = desk.retention.days_by_purpose(storing)
    uses = [
        UseReply(
            what=f"events of type {name}",
            purposes={one.value: allowed[one] for one in STORING},
            kept=_days(desk.retention.events.get(name), by_purpose),
        )
        for name in desk.schema.types
    ]
    shared = {one: allowed[one] for one in ("personalize", "train", "share_demographics")}
    replaced, until = desk.retention.statements, "until it is erased; once a later one takes its place"
    learned = {one: allowed[one] for one in ("train", "measure")}
    return [
        *uses,
        UseReply(what="answers that were given", purposes=learned, kept=_days(desk.retention.served)),
        UseReply(what="events that were refused", purposes={}, kept=_days(desk.retention.dead_letters)),
        UseReply(what="attributes", purposes=shared, kept="until they are changed or erased"),
        UseReply(
            what="consent and preferences",
            purposes=allowed,
            kept=f"{until}, for {replaced:g} days more" if replaced else f"{until}, as its history",
        ),
    ]


def _days(*limits: float | None) -> str:
    """How long something is kept that has several limits, or none."""
    given = [one for one in limits if one is not None]
    return f"{min(given):g} days" if given else "until it is erased"

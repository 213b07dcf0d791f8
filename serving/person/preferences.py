"""`/v1/preferences`: what a person declares, set, taken back and told; and the reset of what was learned of them."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from features.errors import RequestError
from features.moments import to_text
from features.preferences import (
    STRENGTH,
    Category,
    Declared,
    Saying,
    Target,
    declaration,
    declared_in,
    is_preference,
    key_of,
    standing,
)
from features.statements import Statement
from serving.api.replies import Reply, Stamped
from serving.api.requests import Asked, Id, Moment, PersonRequest
from serving.desk.desk import Desk
from serving.desk.permission import CLOCK_SKEW
from serving.retrieval.preferred import knows

MAX_PREFERENCES = 200
ByWhom = Annotated[str, Field(min_length=1, max_length=256)]


class TargetRequest(Asked):
    """An item, or a category: one value of an attribute of items."""

    item_id: Id | None = None
    """The item; give either this, or attribute and value."""
    attribute: Id | None = None
    """A categorical attribute of items, such as genre, brand or creator."""
    value: Id | None = None
    """One of its values."""

    @property
    def target(self) -> Target:
        """As preferences have it."""
        return self.item_id if self.item_id is not None else Category(self.attribute or "", self.value or "")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.attribute is None) != (self.value is None) or (self.item_id is None) == (self.attribute is None):
            raise ValueError("give item_id, or attribute and value together")
        return self


class PreferenceRequest(TargetRequest):
    """One thing that a person declares."""

    say: Saying
    """`like`: more of it; of a category, an interest. `dislike`: less of it; a disliked item is not shown. `hide`:
    never show it. `pin`: an interest that has at least one of every five places."""
    until: Moment | None = None
    """When it ends; never, if left out."""

    @model_validator(mode="after")
    def _pins_a_category(self) -> Self:
        if self.say == "pin" and self.item_id is not None:
            raise ValueError("only a category can be pinned: give attribute and value, or say `like`")
        return self


class ResetRequest(Asked):
    """What a reset leaves."""

    keep: Annotated[list[Id], Field(max_length=100)] | None = None
    """Event types that stay; by default those after which an item stays away, such as purchases."""
    preferences: bool = False
    """Whether what was declared goes too; it stays if left out."""


class PreferencesRequest(PersonRequest):
    """What this person declares: set or taken back, all or nothing, and in any case told."""

    set: Annotated[list[PreferenceRequest], Field(max_length=MAX_PREFERENCES)] = []
    """What the person likes, dislikes, hides or pins; it takes the place of what was said of the same before."""
    take_back: Annotated[list[TargetRequest], Field(max_length=MAX_PREFERENCES)] = []
    """Of what the person says nothing any more."""
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    """How personal lists may be, from 0, not at all, to 1, fully."""
    reset: ResetRequest | None = None
    """Forget what was learned of the person, before the rest is set."""
    source: ByWhom = "person"
    """Who says so, such as a page or a form."""

    @model_validator(mode="after")
    def _of_one_person(self) -> Self:
        ids = (self.user_id is not None) + (self.anonymous_id is not None)
        if ids == 0:
            raise ValueError("preferences are a person's: give user_id or anonymous_id")
        if ids == 2 and (self.set or self.take_back or self.strength is not None or self.reset):
            raise ValueError(
                "a preference is declared by one: send it with user_id alone once the person has logged in"
            )
        return self


class PreferenceReply(Reply, frozen=True, kw_only=True):
    """One thing that a person declared."""

    item_id: str | None = None
    title: str | None = None
    """Of the item, if the model knows it."""
    attribute: str | None = None
    value: str | None = None
    say: Literal["like", "dislike", "hide", "pin"] | None = None
    """Left out in the history when it was taken back."""
    strength: float | None = None
    """In the history, in place of `say`."""
    since: str
    until: str | None = None
    """Left out for ever."""
    source: str
    known: bool | None = None
    """False when the model knows no such item or category: it is kept, and acts as soon as there is one."""


class PreferencesReply(Stamped, frozen=True, kw_only=True):
    """What a person declares."""

    user_id: str | None = None
    anonymous_id: str | None = None
    strength: float
    """How personal lists may be, from 0 to 1."""
    preferences: list[PreferenceReply]
    """What holds now, the newest first."""
    history: list[PreferenceReply]
    """All that was ever declared, the newest first."""
    forgotten: int | None = None
    """Events that a reset removed."""


class _Change(NamedTuple):
    declared: Declared
    field: str
    """Where the request says it."""


def preferences(desk: Desk, request: PreferencesRequest, request_id: str) -> PreferencesReply:
    """A person's declared preferences, set and told; each acts on the next request."""
    now = desk.clock()
    user_id, anonymous_id = request.user_id, request.anonymous_id
    changes = _changes(request, now)
    kept = None if request.reset is None else _kept_types(desk, request.reset)
    said = desk.state.statements(user_id, anonymous_id)
    back = standing(said, now + CLOCK_SKEW, now) if request.reset and request.reset.preferences else []
    named = {key_of(one.declared.target) for one in changes}
    gone = [Declared(one.target, None, None) for _, one in back if key_of(one.target) not in named]
    declared = [*gone, *(one.declared for one in changes)]
    forgotten = None
    if kept is not None:
        forgotten = desk.state.forget_events(user_id, anonymous_id, kept, moment=now)
    if declared:
        moment = max([now, *(one.moment for one in said if one.kind == "preference")])
        statements = [declaration(one, moment, request.source) for one in declared]
        desk.state.declare(user_id, anonymous_id, statements)
        said = desk.state.statements(user_id, anonymous_id)
    return _told(desk, request, request_id, said, now, forgotten)


def _changes(request: PreferencesRequest, now: int) -> list[_Change]:
    """What a request declares. Raises RequestError for a target that it names twice, and for what has ended already."""
    found = [
        *(_Change(Declared(one.target, one.say, one.until), f"set.{at}") for at, one in enumerate(request.set)),
        *(_Change(Declared(one.target, None, None), f"take_back.{at}") for at, one in enumerate(request.take_back)),
    ]
    first: dict[str, str] = {}
    for change in found:
        before = first.setdefault(key_of(change.declared.target), change.field)
        if before != change.field:
            raise RequestError(
                f"says something of what `{before}` speaks of too, and nobody knows which is meant",
                field=change.field,
                hint="Say one thing of each item and category.",
            )
        if change.declared.until is not None and change.declared.until <= now:
            raise RequestError(
                "has ended already", field=f"{change.field}.until", hint="Send a time in the future, or leave it out."
            )
    strength = [] if request.strength is None else [_Change(Declared(None, request.strength, None), STRENGTH)]
    return [*found, *strength]


def _kept_types(desk: Desk, reset: ResetRequest) -> list[str]:
    """The event types that a reset leaves. Raises RequestError for one that there is not."""
    types = desk.schema.dataset.types
    if reset.keep is None:
        return [name for name, kind in types.items() if kind.repeat != "always"]
    strange = next((at for at, name in enumerate(reset.keep) if name not in types), None)
    if strange is not None:
        raise RequestError(
            "there is no such event type", field=f"reset.keep.{strange}", hint=f"The types are: {', '.join(types)}."
        )
    return reset.keep


def _told(
    desk: Desk,
    request: PreferencesRequest,
    request_id: str,
    said: list[Statement],
    now: int,
    forgotten: int | None,
) -> PreferencesReply:
    holding = standing(said, now + CLOCK_SKEW, now)
    strength = next((float(one.value or 0.0) for _, one in holding if one.target is None), 1.0)
    return PreferencesReply(
        request_id=request_id,
        bundle=desk.bundle,
        user_id=request.user_id,
        anonymous_id=request.anonymous_id,
        strength=strength,
        preferences=[_reply(desk, said, one) for said, one in reversed(holding) if one.target is not None],
        history=[_reply(desk, one, declared_in(one)) for one in reversed(said) if is_preference(one)],
        forgotten=forgotten,
    )


def _reply(desk: Desk, said: Statement, one: Declared) -> PreferenceReply:
    bundle, target = desk.pipeline.bundle, one.target
    category = target if isinstance(target, Category) else None
    item_id = target if isinstance(target, str) else None
    row = None if item_id is None else bundle.schema.items.row(item_id)
    known = target is None or (item_id in bundle.schema.items if category is None else knows(bundle, category))
    return PreferenceReply(
        item_id=item_id,
        title=None if row is None or not known else bundle.catalogue.title(row),
        attribute=category and category.attribute,
        value=category and category.value,
        say=one.value if isinstance(one.value, str) else None,
        strength=one.value if isinstance(one.value, int | float) else None,
        since=to_text(said.moment),
        until=None if one.until is None else to_text(one.until),
        source=said.source,
        known=None if known else False,
    )

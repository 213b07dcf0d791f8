"""What may be asked of the service: strict models of every request body (DESIGN: the endpoint, v1).

Unknown fields are refused by name, ids are strings, times are RFC 3339 with a zone and become moments
(int ms since the epoch). A field that does not work yet is an unknown field.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from features.event_details import DETAILS, Detail
from features.moments import to_moment
from serving.answers import MAX_K
from serving.filters.parsing import MAX_CHARACTERS

MAX_RANKED = 1_000
MAX_EVENTS = 1_000
MAX_EXCLUDED = 10_000
MAX_INLINE = 100
MAX_USERS = 1_000
MAX_POSITION = 10_000
MAX_ID = 256
"""Characters of an id."""
MAX_CONTEXT_TEXT = 1_000
"""Characters of a value of the context."""
MAX_CONTEXT_VALUES = 100
"""Values of a column of the context that has several."""
REFERENCE = "#/components/schemas/"
"""Where the OpenAPI document has the schema of a model, by its name."""
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _moment(value: Any) -> int:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time with a zone as RFC 3339 text, such as 2026-05-01T18:30:00Z")
    return to_moment(value.upper())


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=r"^[^\x00]*$")]
Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Measured = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ContextText = Annotated[str, Field(max_length=MAX_CONTEXT_TEXT)]
Scalar = ContextText | int | float | bool | None
FilterText = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
K = Annotated[int, Field(ge=1, le=MAX_K)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$", max_length=35)]


def each_for_itself(record: str, most: int) -> WithJsonSchema:
    """What OpenAPI says of a list of records that are checked one by one, once the request as a whole is taken.

    To the request they are a list of anything: a bad record is refused by itself and does not hold up the others.
    """
    return WithJsonSchema({"type": "array", "items": {"$ref": f"{REFERENCE}{record}"}, "minItems": 1, "maxItems": most})


class Asked(BaseModel):
    """A part of a request: nothing is converted, nothing unknown passes, no error text holds the input."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Context(Asked):
    """The circumstances of a request or event: these names, and the context columns of the bundle."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Scalar | Annotated[list[ContextText], Field(max_length=MAX_CONTEXT_VALUES)]] = Field(
        init=False
    )

    time: Moment | None = None
    """The moment for which to answer; now if left out."""
    device: ContextText | None = None
    """Such as phone, tv or desktop."""
    channel: ContextText | None = None
    """Such as web, app or mail."""
    locale: ContextText | None = None
    """Such as pl-PL."""

    def values(self) -> dict[str, Any]:
        """What was given, without the time."""
        return self.model_dump(exclude={"time"}, exclude_unset=True)


class InlineEvent(Asked):
    """An event of the asking person that counts for this answer alone and is not stored."""

    event_id: Id | None = None
    """When this event is stored already, it does not count twice."""
    item_id: Id
    """What it was done with."""
    type: Id
    """One of the event types of the bundle's data set."""
    time: Moment | None = None
    """When it happened; now if left out."""
    value: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """A rating, seconds played, an amount."""
    dwell: Measured | None = None
    """Seconds that the item was looked at."""
    price: Measured | None = None
    """What one piece cost."""
    quantity: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """How many pieces."""
    position: Annotated[int, Field(ge=1, le=MAX_POSITION)] | None = None
    """In which slot of the list the item stood, from 1."""
    context: Context | None = None
    """Circumstances of the event."""

    @property
    def details(self) -> dict[Detail, float]:
        """What was told of dwell, price, quantity and position."""
        told = {name: getattr(self, name) for name in DETAILS}
        return {name: value for name, value in told.items() if value is not None}


class Event(InlineEvent):
    """Something that a person did."""

    event_id: Id
    """Made by the sender, unique; the same id again is a duplicate and changes nothing."""
    user_id: Id | None = None
    """Who, once known; give either this or anonymous_id."""
    anonymous_id: Id | None = None
    """Who, before a login."""
    request_id: Id | None = None
    """The answer that led to this event."""

    @model_validator(mode="after")
    def _of_one_person(self) -> Self:
        if (self.user_id is None) == (self.anonymous_id is None):
            raise ValueError("give exactly one of user_id and anonymous_id")
        return self


class PersonRequest(Asked):
    """Who asks: a user, an anonymous visitor, both at a login, or nobody known."""

    user_id: Id | None = None
    """The outside id of a user."""
    anonymous_id: Id | None = None
    """The outside id of a visitor before a login."""


class PersonalRequest(PersonRequest):
    """A question whose answer depends on the person and the moment."""

    context: Context = Context()
    """Circumstances of this request."""
    events: Annotated[list[InlineEvent], Field(max_length=MAX_INLINE)] = []
    """What the person did just now, for this answer alone."""
    filter: FilterText | None = None
    """What every item of the answer must fulfil, such as `genre = "drama" and price < 20`."""
    language: Language | None = None
    """Of the sentences in which reasons are told, such as pl; `context.locale` if left out."""

    @property
    def spoken(self) -> str | None:
        """The language that was asked for, if any."""
        return self.language or self.context.locale


class ListOptions(PersonalRequest):
    """What a list of recommendations shall be."""

    placement: Literal["default"] = "default"
    """Where the list will be shown."""
    k: K = 20
    """Number of items."""
    exclude: Annotated[list[Id], Field(max_length=MAX_EXCLUDED)] = []
    """Items that must not come back, such as those already on the page."""


class RecommendRequest(ListOptions):
    """Which items should this person see?"""

    explain: bool = False
    """Whether items come with reasons, and the answer with the time of each stage."""
    after: Id | None = None
    """The `request_id` of a list of this person: this is its next page, and holds nothing of the earlier ones. Context,
    filter and events are those of the first page."""

    @model_validator(mode="after")
    def _a_page_asks_what_the_first_asked(self) -> Self:
        if self.after is not None and self.model_fields_set & {"context", "filter", "events"}:
            raise ValueError("with `after`, leave out context, filter and events: they are those of the first page")
        return self


class BatchRequest(Asked):
    """Which items should each of these users see?"""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_USERS)]
    """Whose lists, in this order; of an unknown user the list is not personal."""
    placement: Literal["default"] = "default"
    """Where the lists will be shown."""
    k: K = 20
    """Number of items of each list."""
    exclude: Annotated[list[Id], Field(max_length=MAX_EXCLUDED)] = []
    """Items that must not come back in any list."""
    filter: FilterText | None = None
    """What every item must fulfil; what it asks of a user is asked of each."""
    context: Context = Context()
    """Circumstances of the lists."""
    explain: bool = False
    """Whether items come with reasons."""
    language: Language | None = None
    """Of the sentences in which reasons are told; `context.locale` if left out."""


class RankRequest(PersonalRequest):
    """In which order should this person see these items?"""

    explain: bool = False
    """Whether items come with reasons, and the answer with the time of each stage."""

    item_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_RANKED)]
    """The items to put in order; a repeated one counts once."""


class SimilarRequest(Asked):
    """Which items go with these?"""

    item_ids: Annotated[list[Id], Field(min_length=1, max_length=100)]
    """The items to start from."""
    kind: Literal["similar", "goes_with", "next"] = "similar"
    """Alike, taken along with them, or taken after them."""
    k: K = 20
    """Number of items."""
    exclude: Annotated[list[Id], Field(max_length=MAX_EXCLUDED)] = []
    """Items that must not come back."""
    filter: FilterText | None = None
    """What every item of the answer must fulfil; of the person asking nothing is known here."""


class EventsRequest(Asked):
    """What people did. Each event is checked for itself, so that a bad one does not hold up the others."""

    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS), each_for_itself("Event", MAX_EVENTS)]

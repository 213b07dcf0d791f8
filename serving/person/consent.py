"""`/v1/consent`: a person's answers by purpose, set and read, with all that was ever answered."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from features.consent import decide
from features.errors import RequestError
from features.statements import Statement, said_at
from serving.api.replies import Reply, Stamped
from serving.api.requests import Id, Moment, PersonRequest
from serving.desk.desk import Desk
from serving.desk.permission import CLOCK_SKEW


class ConsentRequest(PersonRequest):
    """What this person agrees to: with `answers` they are set, and in any case told."""

    answers: Annotated[dict[Id, Literal["granted", "denied"]], Field(max_length=100)] = {}
    """By purpose; all are kept, or none."""
    source: Annotated[str, Field(min_length=1, max_length=256)] = "person"
    """Who or what took the answers, such as the version of a banner."""
    time: Moment | None = None
    """When they were given; now if left out."""

    @model_validator(mode="after")
    def _of_one_person(self) -> Self:
        ids = (self.user_id is not None) + (self.anonymous_id is not None)
        if ids == 0:
            raise ValueError("consent is a person's: give user_id or anonymous_id")
        if ids == 2 and self.answers:
            raise ValueError("an answer is given by one: send it with user_id alone once the person has logged in")
        return self


class PurposeReply(Reply, frozen=True, kw_only=True):
    """Where one purpose stands."""

    purpose: str
    answer: Literal["granted", "denied", "unknown"]
    """`unknown`: the person never answered."""
    allowed: bool
    """Whether the service uses their data for it; of an unknown answer the rules of the service decide."""
    source: str | None = None
    """Who took the answer, or on which basis an unknown one counts as granted."""
    since: str | None = None
    """When the answer was given, if that is known."""


class ConsentChangeReply(Reply, frozen=True, kw_only=True):
    """One answer that was given."""

    purpose: str
    answer: Literal["granted", "denied"]
    source: str
    time: str | None = None
    """Left out when nobody knows, as of tables that came without times."""


class ConsentReply(Stamped, frozen=True, kw_only=True):
    """What a person agrees to."""

    user_id: str | None = None
    anonymous_id: str | None = None
    purposes: list[PurposeReply]
    """Every purpose; of two ids the stricter answer."""
    history: list[ConsentChangeReply]
    """All answers, newest first."""


def consent(desk: Desk, request: ConsentRequest, request_id: str) -> ConsentReply:
    """A person's answers by purpose, set and told; a withdrawal acts on the next request."""
    now = desk.clock()
    if request.answers:
        desk.state.declare(request.user_id, request.anonymous_id, _answers(desk, request, now))
    statements = desk.state.statements(request.user_id, request.anonymous_id)
    decisions = [decide(one, statements, desk.consent, now + CLOCK_SKEW) for one in desk.consent.purposes]
    return ConsentReply(
        request_id=request_id,
        bundle=desk.bundle,
        user_id=request.user_id,
        anonymous_id=request.anonymous_id,
        purposes=[
            PurposeReply(
                purpose=one.purpose,
                answer=one.state,
                allowed=one.allowed,
                source=one.source,
                since=None if one.since is None else said_at(one.since),
            )
            for one in decisions
        ],
        history=[
            ConsentChangeReply(purpose=one.key, answer=one.value, source=one.source, time=said_at(one.moment))
            for one in reversed(statements)
            if one.kind == "consent" and one.value is not None
        ],
    )


def _answers(desk: Desk, request: ConsentRequest, now: int) -> list[Statement]:
    """The answers as statements. Raises RequestError for an unknown purpose, and for a time in the future."""
    strange = [purpose for purpose in request.answers if purpose not in desk.consent.purposes]
    if strange:
        raise RequestError(
            "there is no such purpose",
            field=f"answers.{strange[0]}",
            hint=f"The purposes are: {', '.join(desk.consent.purposes)}.",
        )
    if request.time is not None and request.time > now + CLOCK_SKEW:
        raise RequestError(
            "an answer cannot be given in the future",
            field="time",
            hint="Send the time at which the person answered, with its zone, or leave it out.",
        )
    return [
        Statement("consent", purpose, answer, _moment(desk, request, purpose, now), request.source)
        for purpose, answer in request.answers.items()
    ]


def _moment(desk: Desk, request: ConsentRequest, purpose: str, now: int) -> int:
    """From when an answer holds: what is said now comes after all that was said, also by a clock that runs ahead."""
    if request.time is not None:
        return min(request.time, now)
    said = desk.state.statements(request.user_id, request.anonymous_id)
    return max([now, *(one.moment for one in said if (one.kind, one.key) == ("consent", purpose))])

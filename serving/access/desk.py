"""The desk's side of access: tokens for persons."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from features.errors import RequestError
from features.moments import SECOND, to_text
from serving.access.scopes import LOCAL, OPEN
from serving.access.tokens import MOST_SECONDS, Token, token_scopes
from serving.api.replies import Stamped
from serving.api.requests import PersonRequest
from serving.desk.desk import Desk


class TokenRequest(PersonRequest):
    """A token with which the frontend of this one person may ask."""

    seconds: Annotated[int, Field(ge=1, le=MOST_SECONDS)] | None = None
    """How long it lives; `access.token_seconds` of the service if left out."""
    scopes: Annotated[list[Literal["recommend", "events", "person"]], Field(min_length=1, max_length=3)] = [
        "recommend",
        "events",
        "person",
    ]
    """What it is good for."""

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("a token is for one person: give user_id, anonymous_id, or both at a login")
        return self


class TokenReply(Stamped, frozen=True, kw_only=True):
    """A person's token."""

    token: str
    """To be sent as `Authorization: Bearer TOKEN`; whoever has it may ask for this person."""
    expires: str
    """From when it is refused."""


def make_token(desk: Desk, request: TokenRequest, request_id: str) -> TokenReply:
    """A token with which the frontend of one person may ask for that person alone."""
    key_id = desk.deed.actor if desk.deed else OPEN
    if key_id in (LOCAL, OPEN):
        raise RequestError(
            "a token needs a key that stands behind it, and this request came without one",
            hint="Make a key with the scope `person`: tailorbird keys create --scopes person",
        )
    if not desk.tokens.possible:
        raise RequestError(
            "tokens are switched off: the service has no secret to sign them with",
            hint="Start it with TAILORBIRD_TOKEN_SECRET, the same for every worker and replica.",
        )
    issued = desk.clock() // SECOND
    expires = issued + (request.seconds or desk.tokens.seconds)
    scopes = token_scopes(request.scopes)
    token = Token(request.user_id, request.anonymous_id, key_id, scopes, issued, expires)
    return TokenReply(
        request_id=request_id,
        bundle=desk.bundle,
        token=desk.tokens.sign(token),
        expires=to_text(expires * SECOND),
    )

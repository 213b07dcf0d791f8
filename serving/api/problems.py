"""Every error that leaves the service: a status, and one object that says what happened and what to do.

Nothing of the caller's input stands in a log; an answer repeats a short offending value to its sender only.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ValidationError

from features.errors import RequestError, StateError, TailorbirdError
from serving.api.replies import ErrorDetail, ErrorReply

SHOWN_CHARACTERS = 40
NO_HEADERS: Mapping[str, str] = {}
COME_AGAIN: Mapping[str, str] = {"retry-after": "1"}
"""Seconds after which something that passes by itself may have passed."""
_IDS_ARE_TEXT = 'Ids are strings, also when they look like numbers: write "42", not 42.'


class HttpError(TailorbirdError):
    """A request that is refused before anybody read what it asks."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.headers = headers


def status_of(error: TailorbirdError) -> HTTPStatus:
    """The status that tells a client whether to mend its request or to come again."""
    match error:
        case HttpError():
            return error.status
        case RequestError():
            return HTTPStatus.BAD_REQUEST
        case StateError():
            return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def headers_of(error: TailorbirdError) -> Mapping[str, str]:
    """The headers that belong to an error."""
    match error:
        case HttpError():
            return error.headers
        case StateError():
            return COME_AGAIN
    return NO_HEADERS


def internal(message: str) -> HttpError:
    """A fault of ours."""
    return HttpError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", message, "Tell the operator the request_id; the log has it."
    )


def error_reply(error: TailorbirdError, request_id: str) -> ErrorReply:
    """The error as JSON has it."""
    return ErrorReply(
        error=ErrorDetail(
            code=error.code, message=error.message, field=error.field, hint=error.hint, request_id=request_id
        )
    )


def of_validation(error: ValidationError, model: type[BaseModel]) -> RequestError:
    """What a model does not accept, an unknown field before all else: which field, and what it should be."""
    errors = error.errors(include_url=False)
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    place, value = first["loc"], first["input"]
    field = ".".join(str(part) for part in place) or None
    match first["type"]:
        case "extra_forbidden":
            fields = f"The fields are: {', '.join(model.model_fields)}." if len(place) == 1 else None
            return RequestError("there is no such field", field=field, hint=fields)
        case "missing":
            return RequestError("this field is required", field=field)
        case "value_error":
            return RequestError(str(first["ctx"]["error"]), field=field)
        case "string_type" if _is_id(place):
            return RequestError(f"must be a string{_got(value)}", field=field, hint=_IDS_ARE_TEXT)
        case "model_type":
            return RequestError(f"must be a JSON object, in braces{_got(value)}", field=field)
    message = first["msg"].removeprefix("Input ")
    return RequestError(f"{message[:1].lower()}{message[1:]}{_got(value)}", field=field)


def in_words(problem: TailorbirdError) -> str:
    """What is wrong with one record of many, and what to do."""
    return f"{problem.message}. {problem.hint}" if problem.hint else problem.message


def id_in(content: Any, name: str) -> str | None:
    """The id of a record that is wrong, when it can be read."""
    found = content.get(name) if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def _is_id(place: Sequence[int | str]) -> bool:
    name = next((part for part in reversed(place) if isinstance(part, str)), "")
    return name.endswith(("_id", "_ids")) or name == "exclude"


def _got(value: Any) -> str:
    """The offending value, if it is short and plain."""
    if isinstance(value, list | dict):
        return f"; got {len(value)} values"
    text = repr(value)
    return f"; got {text}" if len(text) <= SHOWN_CHARACTERS else ""

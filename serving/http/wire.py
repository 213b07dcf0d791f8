"""Bytes in and out: a body that is read up to a limit, JSON that is really JSON, and an answer with its headers."""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import aclosing
from http import HTTPStatus
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
import orjson

from features.errors import RequestError, TailorbirdError
from serving.api.problems import HttpError, error_reply, headers_of, internal, status_of
from serving.api.replies import Reply
from serving.telemetry.worker_name import WORKER

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY = 1_000_000
"""Bytes of a body that is read; more is refused."""
MAX_DRAINED = 64 * MAX_BODY
"""Bytes of a refused body that are taken and thrown away, so that its sender gets to read the refusal."""
PART_ENTRIES = 8
"""Entries of a streamed list that are made in one step, during which nobody else has the core."""
TAKE_SECONDS = 30.0
"""Within which a reader takes a part of a streamed answer; whoever is slower gets no more of it."""
_STAMP = (b"x-tailorbird-worker", WORKER.encode())
_ALWAYS = ((b"cache-control", b"private, no-store"), (b"x-content-type-options", b"nosniff"), _STAMP)
_LOG = logging.getLogger("bentoml.tailorbird")  # below BentoML's, which alone is set up to be seen


class Response(NamedTuple):
    """A whole answer."""

    status: HTTPStatus
    body: bytes
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """These headers and those of every answer."""
        length = (b"content-length", b"%d" % len(self.body))
        return [(b"content-type", self.media_type), length, *_ALWAYS, *self.headers]


class Streamed(NamedTuple):
    """An answer that is sent as it is made."""

    parts: AsyncGenerator[bytes, None]
    status: HTTPStatus = HTTPStatus.OK

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Those of every answer; nobody knows the length."""
        return [(b"content-type", b"application/json"), *_ALWAYS]


def refusal(error: TailorbirdError, request_id: str) -> Response:
    """An error as an answer."""
    headers = tuple((name.encode(), value.encode()) for name, value in headers_of(error).items())
    return Response(status_of(error), to_json(error_reply(error, request_id)), headers=headers)


async def answered(making: Awaitable[T], request_id: str) -> T | Response:
    """The answer that is being made, or the error that it came to."""
    try:
        return await making
    except TailorbirdError as error:
        return refusal(error, request_id)
    except Exception as error:
        log_without_values(request_id, error)
        return refusal(internal("the answer could not be made"), request_id)


def log_without_values(what: str, error: Exception) -> None:
    """Where it happened and which kind of error, but not its text, which may hold what a caller sent."""
    places = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("%s: %s\n%s", what, type(error).__name__, places)


def check_encoding(scope: Message) -> None:
    """Raises HttpError for a packed body: a few bytes of it could become gigabytes."""
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in scope["headers"]):
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "packed bodies are not read here",
            "Send JSON as it is, without Content-Encoding.",
        )


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises HttpError when it is over the limit, or its sender went away."""
    body, size, more = bytearray(), 0, True
    while more and size <= MAX_DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpError(HTTPStatus.BAD_REQUEST, "disconnected", "the body ended too early")
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            body += part
        more = message.get("more_body", False)
    if size > MAX_BODY:
        raise HttpError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_large",
            f"the body is over {MAX_BODY:,} bytes",
            "Send fewer items or events in one request.",
        )
    return bytes(body)


def parse_json(body: bytes) -> Any:
    """The JSON of a body. Raises RequestError for anything else, NaN and invalid UTF-8 included."""
    try:
        body.decode("utf-8")
        return orjson.loads(body)
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8 at byte {error.start}", hint="Send JSON as UTF-8.") from None
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise RequestError(f"the body is not JSON at {place}", hint="NaN and Infinity are no JSON.") from None


def to_json(reply: Reply) -> bytes:
    """The JSON of a reply; what has nothing to say is left out."""
    return msgspec.json.encode(reply)


def json_parts(frame: Reply, entries: Iterator[Reply]) -> Iterator[bytes]:
    """The JSON of a reply whose last field is a list, empty as yet, with these entries in it, a few in each part."""
    before = to_json(frame).removesuffix(b"]}")
    while part := list(islice(entries, PART_ENTRIES)):
        yield before + b",".join(map(to_json, part))
        before = b","
    yield before.removesuffix(b",") + b"]}"


async def write(send: Send, response: Response, *, head: bool = False, last: bool = False) -> None:
    """Send an answer; a `head` request gets the headers alone, and the `last` of a connection ends it."""
    headers = [*response.all_headers(), *([(b"connection", b"close")] if last else [])]
    await send({"type": "http.response.start", "status": response.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


async def write_parts(send: Send, receive: Receive, streamed: Streamed) -> None:
    """Send an answer part by part, none before the one before it was taken.

    When its reader goes away, or a part cannot be made, the rest is left out: the server then closes the connection, by
    which a reader knows that the answer is not whole.
    """
    async with aclosing(streamed.parts) as parts:
        await send({"type": "http.response.start", "status": streamed.status.value, "headers": streamed.all_headers()})
        gone = asyncio.ensure_future(receive())
        try:
            async for part in parts:
                if gone.done():
                    return
                async with asyncio.timeout(TAKE_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except Exception as error:
            log_without_values("streaming", error)
        finally:
            gone.cancel()


def stamped(send: Send) -> Send:
    """A `send` that names this process in the headers of an answer that another application makes."""

    async def send_stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), _STAMP]}
        await send(message)

    return send_stamped

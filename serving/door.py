"""The HTTP side: one ASGI application in front of BentoML's own, which keeps only its health and metrics pages.

BentoML's stack costs twenty times the work of a plain answer, has no limit on bodies, writes several forms of
error, and logs what callers sent. Here a body is limited, an error has one form, every answer is stamped, and
the work runs in a bounded pool of threads, so that the event loop stays free and overload is told at once.
"""

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from time import perf_counter
from typing import Any

import orjson
from prometheus_client import Histogram
from pydantic import ValidationError

from features.errors import TailorbirdError
from serving.desk import Desk
from serving.endpoints import ENDPOINTS, Endpoint
from serving.openapi import openapi
from serving.problems import HttpError, error_reply, of_validation, status_of
from serving.wire import Application, Message, Receive, Response, Send, parse_json, read_body, stamped, to_json, write
from serving.worker import Worker

NATIVE = frozenset({"/livez", "/metrics"})
"""What BentoML answers itself."""

_LOG = logging.getLogger("bentoml.tailorbird")  # below BentoML's, which alone is set up to be seen
_SECONDS = Histogram("tailorbird_request_seconds", "Time to answer, by route and status.", ["route", "status"])


class Door:
    """An ASGI application around BentoML's; the worker behind it is opened in a thread at the start."""

    def __init__(self, native: Application, open_worker: Callable[[], Worker], threads: int, max_waiting: int) -> None:
        """`threads` requests are worked on at a time, `max_waiting` more may wait."""
        self._native = native
        self._open_worker = open_worker
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tailorbird")
        self._places = threads + max_waiting
        self._worker: Worker | None = None
        self._closed = partial(
            HttpError,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "not_ready",
            "the bundle is being loaded",
            "Ask /readyz, then come again.",
        )
        self._endpoints = {endpoint.path: endpoint for endpoint in ENDPOINTS}
        self._pages = {"/": self._page, "/openapi.json": self._openapi, "/readyz": self._readyz}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] != "http" or scope["path"] in NATIVE:
            await self._native(scope, receive, stamped(send))
        else:
            await self._respond(scope, receive, send)

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        self._pool.submit(self._open)
        try:
            await self._native(scope, receive, send)
        finally:
            self._pool.shutdown()
            if self._worker:
                self._worker.close()

    def _open(self) -> None:
        try:
            self._worker = self._open_worker()
            _LOG.info("bundle %s is ready", self._worker.desk.bundle)
        except TailorbirdError as error:
            _LOG.error("not ready: %s", error)
            self._closed = partial(HttpError, HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.message, error.hint)
        except Exception as error:
            _log_without_values("opening", error)
            self._closed = partial(_internal, "the bundle or the store could not be opened")

    async def _respond(self, scope: Message, receive: Receive, send: Send) -> None:
        start, request_id = perf_counter(), secrets.token_hex(16)
        try:
            response = await self._answer(scope, receive, request_id)
        except TailorbirdError as error:
            response = Response(status_of(error), to_json(error_reply(error, request_id)))
        except Exception as error:
            _log_without_values(request_id, error)
            failure = _internal("the answer could not be made")
            response = Response(failure.status, to_json(error_reply(failure, request_id)))
        route = scope["path"] if scope["path"] in self._endpoints else "other"
        _SECONDS.labels(route, response.status.value).observe(perf_counter() - start)
        await write(send, response, head=scope["method"] == "HEAD")

    async def _answer(self, scope: Message, receive: Receive, request_id: str) -> Response:
        path, method = scope["path"], scope["method"]
        if page := self._pages.get(path):
            _allow(method, "GET", "HEAD")
            return await page()
        if endpoint := self._endpoints.get(path):
            _allow(method, "POST")
            content = parse_json(await read_body(receive))
            return await self._work(lambda desk: _answer(desk, endpoint, content, request_id))
        raise HttpError(
            HTTPStatus.NOT_FOUND, "not_found", "there is no such route", "GET /openapi.json lists the routes."
        )

    async def _work(self, job: Callable[[Desk], Response]) -> Response:
        """Run a job in the pool. Raises HttpError at once when the desk is closed or too many jobs wait."""
        if self._worker is None:
            raise self._closed()
        if self._places <= 0:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS, "overloaded", "too many requests wait for an answer", "Come again later."
            )
        self._places -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, job, self._worker.desk)
        finally:
            self._places += 1

    async def _readyz(self) -> Response:
        def check(desk: Desk) -> Response:
            desk.check()
            standing = self._worker.standing() if self._worker else {}
            return Response(HTTPStatus.OK, orjson.dumps({"ready": True, "bundle": desk.bundle, **standing}))

        return await self._work(check)

    async def _page(self) -> Response:
        page = files("serving").joinpath("page.html").read_bytes()
        return Response(HTTPStatus.OK, page, b"text/html; charset=utf-8")

    async def _openapi(self) -> Response:
        return Response(HTTPStatus.OK, orjson.dumps(openapi()))


def _answer(desk: Desk, endpoint: Endpoint, content: Any, request_id: str) -> Response:
    try:
        request = endpoint.request.model_validate(content)
    except ValidationError as error:
        raise of_validation(error, endpoint.request) from None
    return Response(HTTPStatus.OK, to_json(endpoint.answer(desk, request, request_id)))


def _allow(method: str, *methods: str) -> None:
    if method not in methods:
        raise HttpError(
            HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"{method} is not answered here", f"Use {methods[0]}."
        )


def _internal(message: str) -> HttpError:
    return HttpError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", message, "Tell the operator the request_id; the log has it."
    )


def _log_without_values(what: str, error: Exception) -> None:
    """Where it happened and which kind of error, but not its text, which may hold what a caller sent."""
    places = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("%s: %s\n%s", what, type(error).__name__, places)

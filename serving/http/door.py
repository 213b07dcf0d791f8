"""The HTTP side: one ASGI application in front of BentoML's own, which keeps its health, metrics and schema pages.

BentoML's stack costs twenty times the work of a plain answer, has no limit on bodies, writes several forms of
error, and logs what callers sent. Here an endpoint is answered by the reception, an error has one form, and every
answer is stamped and timed.
"""

import secrets
from http import HTTPStatus
from importlib.resources import files
from time import perf_counter

import orjson

from serving.api.endpoints import ENDPOINTS
from serving.api.openapi import openapi
from serving.api.problems import HttpError
from serving.http.balance import Balance
from serving.http.reception import Reception
from serving.http.wire import (
    Application,
    Message,
    Receive,
    Response,
    Send,
    Streamed,
    answered,
    refusal,
    stamped,
    write,
    write_parts,
)
from serving.metrics import REQUEST_SECONDS

METRICS = "/metrics"
NATIVE = frozenset({"/livez", METRICS, "/schema.json"})
"""What BentoML answers itself; its own clients begin with the schema."""


class Door:
    """An ASGI application around BentoML's; what stands behind the reception is opened at the start."""

    def __init__(self, native: Application, reception: Reception, balance: Balance | None = None) -> None:
        """`balance` spreads connections over several workers."""
        self._native = native
        self._balance = balance
        self._reception = reception
        self._endpoints = {endpoint.path: endpoint for endpoint in ENDPOINTS}
        self._pages = {"/": _page, "/openapi.json": _openapi, "/readyz": reception.readiness}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] != "http" or scope["path"] in NATIVE:
            if scope.get("path") == METRICS and (refused := await self._refused(scope)):
                await write(send, refused)
            else:
                await self._native(scope, receive, stamped(send))
        else:
            await self._respond(scope, receive, send)

    async def _refused(self, scope: Message) -> Response | None:
        """Why whoever asks for metrics gets none: they tell how much a company sells."""
        try:
            self._reception.check_metrics(scope)
        except HttpError as error:
            return refusal(error, secrets.token_hex(16))
        return None

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        self._reception.open()
        try:
            await self._native(scope, receive, send)
        finally:
            self._reception.close()
            if self._balance:
                self._balance.end()

    async def _respond(self, scope: Message, receive: Receive, send: Send) -> None:
        start, path, method = perf_counter(), scope["path"], scope["method"]
        endpoint = self._endpoints.get(path)
        if endpoint and method == "POST":
            response: Response | Streamed = await self._reception.answer(endpoint, scope, receive)
        else:
            response = await answered(self._other(path, method), secrets.token_hex(16))
        if isinstance(response, Streamed):
            await write_parts(send, receive, response)
        REQUEST_SECONDS.labels(path if endpoint else "other", response.status.value).observe(perf_counter() - start)
        if isinstance(response, Response):
            last = self._balance is not None and self._balance.close_after(scope["client"])
            await write(send, response, head=method == "HEAD", last=last)

    async def _other(self, path: str, method: str) -> Response:
        """A page, or why there is none."""
        page = self._pages.get(path)
        if page and method in ("GET", "HEAD"):
            return await page()
        if page or path in self._endpoints:
            raise _not_allowed(method, "GET, HEAD" if page else "POST")
        raise HttpError(
            HTTPStatus.NOT_FOUND, "not_found", "there is no such route", "GET /openapi.json lists the routes."
        )


async def _page() -> Response:
    page = files("serving.http").joinpath("page.html").read_bytes()
    return Response(HTTPStatus.OK, page, b"text/html; charset=utf-8")


async def _openapi() -> Response:
    return Response(HTTPStatus.OK, orjson.dumps(openapi()))


def _not_allowed(method: str, allowed: str) -> HttpError:
    return HttpError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        f"{method} is not answered here",
        f"Use {allowed.partition(',')[0]}.",
        headers={"allow": allowed},
    )

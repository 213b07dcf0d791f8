"""Between a body and its answer: is the desk open, is there room, is it JSON, is it right, and what does the desk say.

The door and BentoML's native endpoints both answer by calling this object, so that they cannot differ.
"""

import asyncio
import logging
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple

from pydantic import ValidationError

from features.errors import StateError, TailorbirdError
from serving.access.guard import Caller
from serving.api.endpoints import Endpoint
from serving.api.problems import COME_AGAIN, HttpError, internal, of_validation
from serving.api.replies import Stamped
from serving.api.requests import Asked
from serving.desk.desk import Desk
from serving.http.admission import Lane
from serving.http.wire import (
    Message,
    Receive,
    Response,
    Streamed,
    answered,
    check_encoding,
    json_parts,
    log_without_values,
    parse_json,
    read_body,
    refusal,
    to_json,
)
from serving.lifecycle.worker import Worker
from serving.metrics import REQUESTS_REFUSED
from serving.person.privacy import ArchiveReply
from serving.settings import ServingConfig
from serving.state.audit_log import Deed
from serving.telemetry.current import Work, concerning
from serving.telemetry.tracing import Tracing

WAITING_BATCHES = 3
"""Batches that may wait in one worker beside the one that is worked on."""
REOPEN_SECONDS = 1.0
"""Between two tries to open a store that does not answer."""
MOST_SECONDS = 30.0
"""Between two tries to open a bundle that is refused again and again: hashing a large one takes a core for seconds."""

_AS_FILE = ((b"content-disposition", b'attachment; filename="person.zip"'),)
_LOG = logging.getLogger("bentoml.tailorbird")


class Reception:
    """Answers requests from one worker, which is opened in a thread; used from one event loop."""

    def __init__(self, open_worker: Callable[[], Worker], config: ServingConfig) -> None:
        self._open_worker = open_worker
        reads = Lane("reads", config.threads, config.max_waiting, config.deadline_ms / 1000)
        self._lanes = {
            "reads": reads,
            "writes": Lane("writes", config.write_threads, config.max_waiting, config.write_deadline_ms / 1000),
            "batch": Lane("batch", 1, WAITING_BATCHES, config.batch_deadline_ms / 1000, first=reads),
        }
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="tailorbird-aside")  # opens, then looks after the store
        self._closing = threading.Event()
        self._checking: asyncio.Future[Response] | None = None
        self._worker: Worker | None = None
        self._tracing: Tracing | None = None
        self._config = config
        self._closed = _not_ready("not_ready", "the bundle is being loaded", "Ask /readyz, then come again.")

    def open(self) -> None:
        """Begin to open the desk."""
        self._aside.submit(self._open)

    def close(self) -> None:
        """Finish what was taken, then give back threads and store."""
        self._closing.set()
        for lane in self._lanes.values():
            lane.shutdown()
        self._aside.shutdown()
        if self._worker:
            self._worker.close()
        if self._tracing:
            self._tracing.close()

    async def answer(self, endpoint: Endpoint, scope: Message, receive: Receive) -> Response | Streamed:
        """The answer to a request whose body is yet to be read; an error is an answer too. `scope` is ASGI's.

        Whoever gets a streamed one closes its parts.
        """
        request_id, start = secrets.token_hex(16), perf_counter()
        trace = self._tracing.begin(endpoint.path, scope["headers"]) if self._tracing else None
        with concerning(Work(request_id, trace)):
            response = await answered(self._answer(endpoint, scope, receive, request_id), request_id)
            _LOG.debug("%s %d %.1f ms", endpoint.path, response.status, 1000 * (perf_counter() - start))
        if trace:
            trace.end(response.status)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            REQUESTS_REFUSED.labels(endpoint.path).inc()
        return response

    async def readiness(self) -> Response:
        """200 when the desk is open: the bundle is loaded, warm, and gives its golden answers.

        A store that does not answer is told as `degraded`, not as unready: recommendations go on without it, and
        taking every worker out of service because of the one store would end those too. Asked beside the lanes:
        a worker with many requests is busy, not unready. Raises HttpError while the desk is closed.
        """
        if self._worker is None:
            raise self._closed()
        if self._checking is None or self._checking.done():
            self._checking = asyncio.get_running_loop().run_in_executor(self._aside, _checked, self._worker)
        return await asyncio.shield(self._checking)

    def check_metrics(self, scope: Message) -> None:
        """Raises HttpError unless whoever sends a request may see counts."""
        if self._worker is None:
            raise self._closed()
        self._worker.guard.check_metrics(scope)

    async def _answer(
        self, endpoint: Endpoint, scope: Message, receive: Receive, request_id: str
    ) -> Response | Streamed:
        """Refuses before the body is read when it can; the deadline counts from the body's last byte."""
        worker, lane = self._worker, self._lanes[endpoint.lane]
        if worker is None:
            raise self._closed()
        caller = worker.guard.enter(endpoint, scope)
        lane.check()
        check_encoding(scope)
        call = Call(worker, endpoint, caller, await read_body(receive), request_id)
        if endpoint.streamed:
            return await _begun(lane.steps(partial(_stream, call), perf_counter()))
        return await lane.run(partial(_work, call), perf_counter())

    def _open(self) -> None:
        """Try until it opens: a store may come up, and a bad bundle be replaced or rolled back, at any time."""
        wait = REOPEN_SECONDS
        while self._worker is None and not self._closing.is_set():
            try:
                self._tracing = self._tracing or Tracing.of(self._config.tracing)
                self._worker = self._open_worker()
                _LOG.info("bundle %s is ready", self._worker.desk.bundle)
            except TailorbirdError as error:
                self._say_closed(error)
                self._closing.wait(wait)
                wait = REOPEN_SECONDS if isinstance(error, StateError) else min(2 * wait, MOST_SECONDS)
            except Exception as error:
                log_without_values("opening", error)
                self._closed = partial(internal, "the bundle or the store could not be opened")
                return

    def _say_closed(self, error: TailorbirdError) -> None:
        _LOG.error("not ready: %s", error)
        self._closed = _not_ready(error.code, error.message, error.hint)


class Call(NamedTuple):
    """One request that was let in."""

    worker: Worker
    endpoint: Endpoint
    caller: Caller
    body: bytes
    request_id: str

    def read(self) -> Asked:
        """The request itself. Raises RequestError, and HttpError 403 when it is about somebody else's person."""
        content = parse_json(self.body)
        try:
            request = self.endpoint.request.model_validate(content)
        except ValidationError as error:
            raise of_validation(error, self.endpoint.request) from None
        self.caller.check_people(self.endpoint.people(request))
        return request

    def deed(self, desk: Desk, request: Asked) -> Deed:
        """The call as the audit log has it."""
        people = self.endpoint.people(request)
        return Deed(self.endpoint.name, self.caller.actor, desk.clock(), self.request_id, people)


def _work(call: Call, until: float) -> Response:
    """All that a thread does for one request. Whatever is audited is answered once it stands in the log."""
    try:
        request, desk = call.read(), call.worker.desk
        if call.endpoint.audited:
            deed = call.deed(desk, request)
            desk = desk.noting(deed)
            reply = call.endpoint.ask(desk, request, call.request_id, until)
            desk.note(deed)
        else:
            reply = call.endpoint.ask(desk, request, call.request_id, until)
    except TailorbirdError as error:
        return refusal(error, call.request_id)
    if isinstance(reply, ArchiveReply):
        return Response(HTTPStatus.OK, reply.content, call.endpoint.media_type.encode(), _AS_FILE)
    return Response(HTTPStatus.OK, to_json(reply))


def _stream(call: Call, until: float) -> Iterator[bytes]:
    """The JSON of an answer whose last field is a list, as the list grows; one desk answers all of it."""
    endpoint, request, desk = call.endpoint, call.read(), call.worker.desk
    if endpoint.audited:
        desk.note(call.deed(desk, request))
    (last,) = set(endpoint.reply.__struct_fields__) - set(Stamped.__struct_fields__)
    frame = endpoint.reply(request_id=call.request_id, bundle=desk.bundle, **{last: []})
    return json_parts(frame, endpoint.ask(desk, request, call.request_id, until))


async def _begun(parts: AsyncGenerator[bytes, None]) -> Streamed:
    """An answer of which the first part is there, so that what is wrong with the request was told before."""
    first = await anext(parts)

    async def all_parts() -> AsyncGenerator[bytes, None]:
        async with aclosing(parts) as rest:
            yield first
            async for part in rest:
                yield part

    return Streamed(all_parts())


def _checked(worker: Worker) -> Response:
    return Response(HTTPStatus.OK, to_json(worker.standing()))


def _not_ready(code: str, message: str, hint: str | None) -> Callable[[], HttpError]:
    return partial(HttpError, HTTPStatus.SERVICE_UNAVAILABLE, code, message, hint, headers=COME_AGAIN)

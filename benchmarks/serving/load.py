"""The load generator, a process of its own: `python -m benchmarks.serving.load JOB.json`.

Plain HTTP/1.1 over connections that stay open, one request at a time on each, every byte of every request made before
the first is sent. An open loop sends each request when it is due, whatever became of those before; a closed loop sends
the next as soon as an answer is there, which finds how many a second the service can answer; one that insists asks the
same again where it was refused, else what is hard to answer would be refused and what is easy answered, and the mix of
the answers would not be that of the requests. SIGTERM ends either.
"""

import asyncio
import gc
import json
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import uvloop
from pydantic import BaseModel, ConfigDict

from benchmarks.accuracy.results import write_atomically
from benchmarks.serving.samples import BROKEN, OK, REFUSED, Sample
from benchmarks.serving.traffic import Call, read_calls

END_OF_HEAD = b"\r\n\r\n"
SETTLE = 0.2
"""Seconds between the opening of the connections and the first request."""
LOOK = 0.005
"""Seconds between two looks at whether all answers are there."""
UNLIMITED = 3600.0
AGAIN_SECONDS = 0.1
"""After which a refused request is sent again by whoever insists."""


class Job(BaseModel):
    """What to send, where, and how fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int
    calls: Path
    loop: Literal["open", "closed"]
    rate: float = 0.0
    """Requests a second of an open loop."""
    connections: int = 64
    seconds: float = 0.0
    """Length of a closed loop; it ends earlier when all requests are sent."""
    insist: bool = False
    """Whether a closed loop asks again what was refused; each refusal is a sample of its own."""
    warm: int = 0
    """Requests at the beginning that are sent in a closed loop and not counted."""
    patience: float = 60.0
    """Seconds for which answers are awaited after the last request was sent."""
    host: str = "127.0.0.1"


class Request:
    """One prepared request and what becomes of it; moments in seconds since the start of the run."""

    __slots__ = ("answered", "data", "due", "kind", "sent", "then")

    def __init__(self, call: Call, host: str) -> None:
        body = json.dumps(call.body, separators=(",", ":")).encode()
        head = f"POST {call.path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        self.data = head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
        self.kind = call.kind
        self.due = self.sent = 0.0
        self.answered = False
        self.then: Callable[[], None] | None = None
        """What to do once there is an answer."""


class Connection(asyncio.Protocol):
    """One open connection with at most one request under way."""

    transport: asyncio.WriteTransport

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._request: Request | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def send(self, request: Request) -> None:
        """Send; the connection is not free until the answer is there."""
        self._request, request.sent = request, self._run.now()
        self.transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(END_OF_HEAD)
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        length = int(_header(head, b"content-length:") or 0)
        if len(self._buffer) < end + len(END_OF_HEAD) + length:
            return
        body = bytes(self._buffer[end + len(END_OF_HEAD) :])
        self._buffer.clear()
        self._end(int(head[9:12]), head, body)
        if b"connection: close" in head:
            self.transport.close()
        else:
            self._run.free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._end(BROKEN, b"", b"")
        self._run.lost(self)

    def _end(self, status: int, head: bytes, body: bytes) -> None:
        request, self._request = self._request, None
        if request is not None:
            self._run.finish(request, status, head, body)


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header in a head of lower case; empty when it is not there."""
    start = head.find(b"\r\n" + name)
    if start < 0:
        return b""
    start += len(name) + 2
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def _text_field(body: bytes, key: bytes) -> str:
    """The text behind a key of a JSON body without spaces, which costs less than reading the body."""
    start = body.find(key)
    return "" if start < 0 else body[start + len(key) : body.find(b'"', start + len(key))].decode()


class Run:
    """Connections to one service, what waits for one of them, and what came back."""

    def __init__(self, host: str, port: int, *, insist: bool = False) -> None:
        self._place = (host, port)
        self._insist = insist
        self._ends = 0.0
        self._refused = 0
        self._free: deque[Connection] = deque()
        self._waiting: deque[Request] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._open: set[Connection] = set()
        self._closing = False
        self._stopped = False
        self.start = time.perf_counter()
        self.samples: list[Sample] = []

    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    async def connect(self, count: int) -> None:
        """Open so many more connections. Raises OSError where nobody listens."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(lambda: Connection(self), *self._place)
            self._open.add(connection)
            self.free(connection)

    async def close(self) -> None:
        """End all connections."""
        self._closing = True
        while self._open or self._opening:  # one that took the place of another may open only now
            for connection in [*self._open]:
                connection.transport.abort()
            await asyncio.sleep(LOOK)

    def submit(self, request: Request) -> None:
        """Send a request on the connection that rested longest, or as soon as one is free."""
        if self._free:
            self._free.popleft().send(request)
        else:
            self._waiting.append(request)

    def free(self, connection: Connection) -> None:
        """A connection can take the next request."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._free.append(connection)

    def finish(self, request: Request, status: int, head: bytes = b"", body: bytes = b"") -> None:
        """Note what became of a request, the first time that something did."""
        if request.answered:
            return
        again = self._insist and status == REFUSED and not self._stopped and self.now() < self._ends
        request.answered = not again
        self.samples.append(
            Sample(
                kind=request.kind,
                due=request.due,
                sent=request.sent,
                done=self.now(),
                status=status,
                worker=_header(head, b"x-tailorbird-worker:").decode(),
                bundle=_text_field(body, b'"bundle":"') if status == OK else "",
                short=b'"shortfall"' in body,
                degraded=b'"degraded"' in body,
                error="" if status == OK else _text_field(body, b'"code":"'),
            )
        )
        if again:
            self._refused += 1
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._again, request)
        elif request.then:
            request.then()

    def _again(self, request: Request) -> None:
        request.due = self.now()
        self.submit(request)

    def lost(self, connection: Connection) -> None:
        """A connection ended, which a service may do at any time; another takes its place."""
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if self._closing:
            return
        task = asyncio.get_running_loop().create_task(self._another())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _another(self) -> None:
        try:
            await self.connect(1)
        except OSError:  # nobody listens any more: what waits will have no answer
            while self._waiting:
                self.finish(self._waiting.popleft(), BROKEN)

    def stop(self) -> None:
        """Send no more; what is under way is awaited."""
        self._stopped = True

    async def open_loop(self, requests: Sequence[Request], rate: float, patience: float) -> None:
        """Send each request when it is due: the first at once, then one every 1 / rate seconds."""
        await self._begin()
        loop = asyncio.get_running_loop()
        sent: list[Request] = []

        def pace() -> None:  # in a thread: an event loop's own timers are up to a millisecond late
            for number, request in enumerate(requests):
                request.due = number / rate
                if (wait := request.due - self.now()) > 0:
                    time.sleep(wait)
                if self._stopped:
                    return
                sent.append(request)
                loop.call_soon_threadsafe(self.submit, request)

        await asyncio.to_thread(pace)
        await self._rest(sent, self.now() + patience)

    async def closed_loop(self, requests: Sequence[Request], lanes: int, seconds: float, patience: float) -> None:
        """Keep so many requests under way until the seconds are over (0: until all are sent); then await the rest."""
        await self._begin()
        left = iter(requests)
        sent: list[Request] = []
        self._ends = seconds or UNLIMITED

        def step() -> None:
            going = not self._stopped and (not seconds or self.now() < seconds)
            if going and (request := next(left, None)) is not None:
                request.due, request.then = self.now(), step
                sent.append(request)
                self.submit(request)

        for _ in range(lanes):
            step()
        await self._rest(sent, self._ends + patience)

    async def _begin(self) -> None:
        await asyncio.sleep(SETTLE)
        self.start = time.perf_counter()

    async def _rest(self, requests: Sequence[Request], deadline: float) -> None:
        """Await the answers; a request without one at the deadline is broken, and took as long as was waited."""
        while len(self.samples) - self._refused < len(requests) and self.now() < deadline:
            await asyncio.sleep(LOOK)
        for request in requests:
            if not request.answered:
                request.then = None
                self.finish(request, BROKEN)


async def drive(job: Job, calls: Sequence[Call]) -> dict[str, Any]:
    """Do what a job says; its samples, and how hard the generator itself had to work."""
    requests = [Request(call, f"{job.host}:{job.port}") for call in calls]
    if job.warm:
        warming = Run(job.host, job.port)
        await warming.connect(job.connections)
        await warming.closed_loop(requests[: job.warm], job.connections, 0.0, job.patience)
        await warming.close()
        requests = requests[job.warm :]
    run = Run(job.host, job.port, insist=job.insist)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.stop)
    await run.connect(job.connections)
    before = _cpu_seconds()
    if job.loop == "open":
        await run.open_loop(requests, job.rate, job.patience)
    else:
        await run.closed_loop(requests, job.connections, job.seconds, job.patience)
    wall, spent = run.now(), _cpu_seconds() - before
    await run.close()
    return {
        "samples": [list(one) for one in run.samples],
        "wall": wall,
        "began": run.start,
        "generator_cpu": round(spent / wall, 3),
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Read the job, do it, and write what came of it beside it."""
    gc.disable()  # a pause of the generator would look like one of the service
    path = Path(sys.argv[1])
    job = Job.model_validate_json(path.read_bytes())
    outcome = uvloop.run(drive(job, read_calls(job.calls)))
    write_atomically(path.with_suffix(".out.json"), json.dumps(outcome))


if __name__ == "__main__":
    main()

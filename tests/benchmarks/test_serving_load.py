"""The load generator against a server of the test's own: what was due counts, whatever the server does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving import load
from benchmarks.serving.load import SETTLE, Job, Request, Run, drive
from benchmarks.serving.samples import BROKEN, Sample
from benchmarks.serving.traffic import Call

HEAD = b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nX-Tailorbird-Worker: w%d\r\n\r\n"


class Server:
    """Answers each request after a while, one at a time in all; some connections it drops, the first it may refuse."""

    def __init__(self, pause: float = 0.0, status: int = 200, drops: int = 0, refuses: int = 0) -> None:
        self.pause, self.status, self.drops, self.refuses = pause, status, drops, refuses
        self.answered = 0
        self.tasks: list[Any] = []
        self.connections = 0
        self._turn = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        try:
            while head := await self._head(reader):
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
                async with self._turn:
                    await asyncio.sleep(self.pause)
                self.answered += 1
                if self.answered <= self.drops:
                    break
                answer = b'{"bundle":"abc","shortfall":{}}'
                status = 429 if self.answered <= self.refuses else self.status
                writer.write(HEAD % (status, len(answer), self.connections))
                await writer.drain()
                writer.write(answer)  # apart, as a server may send it
        finally:
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


def run(server: Server, calls: int, **job: Any) -> list[Sample]:
    """The samples of so many requests."""

    async def both() -> list[Sample]:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        wanted = Job(port=port, calls=Path("none"), **job)
        outcome = await drive(wanted, [Call("recommend", "/v1/recommend", {"number": n}) for n in range(calls)])
        listening.close()
        await asyncio.gather(*server.tasks)
        return [Sample(*one) for one in outcome["samples"]]

    return asyncio.run(both())


def test_a_slow_server_is_charged_for_those_who_wait() -> None:
    """100 a second are due, 50 a second are answered: the tenth request is answered 0.2 s in and was due at 0.09 s."""
    samples = sorted(run(Server(pause=0.02), 10, loop="open", rate=100.0, connections=1), key=lambda one: one.due)
    assert [round(one.due, 3) for one in samples] == [round(number / 100, 3) for number in range(10)]
    assert all(one.sent >= one.due for one in samples)
    assert samples[9].milliseconds >= 105  # 10 answers of 20 ms each, less 90 ms
    assert samples[9].milliseconds > (samples[9].done - samples[9].sent) * 1000 + 50
    assert samples[0].milliseconds < samples[9].milliseconds


def test_an_open_loop_sends_on_time_whatever_is_under_way() -> None:
    samples = run(Server(pause=0.05), 10, loop="open", rate=100.0, connections=10)
    assert sorted(round(one.due, 3) for one in samples) == [round(number / 100, 3) for number in range(10)]
    assert sorted(one.sent - one.due for one in samples)[5] < 0.1  # one after the other would be 0.2


def test_a_closed_loop_asks_again_when_answered() -> None:
    server = Server(pause=0.01)
    samples = run(server, 1000, loop="closed", connections=2, seconds=0.3)
    assert 4 <= len(samples) <= 32  # one at a time, 10 ms each
    assert server.answered == len(samples)
    assert all(one.due == pytest.approx(one.sent, abs=0.05) for one in samples)


def test_a_closed_loop_ends_when_all_is_sent() -> None:
    assert len(run(Server(), 7, loop="closed", connections=3)) == 7


def test_whoever_insists_gets_an_answer_to_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "AGAIN_SECONDS", 0.01)
    samples = run(Server(refuses=2), 3, loop="closed", connections=2, insist=True)
    assert sorted(one.status for one in samples) == [200, 200, 200, 429, 429]
    assert all(one.milliseconds < 5_000 for one in samples)


def test_whoever_insists_gives_up_when_the_time_is_over() -> None:
    samples = run(Server(pause=0.01, status=429), 3, loop="closed", connections=1, seconds=0.25, insist=True)
    assert {one.status for one in samples} == {429}
    assert len(samples) < 10


def test_what_came_back_is_noted() -> None:
    samples = run(Server(status=429), 3, loop="closed", connections=1)
    assert {one.status for one in samples} == {429}
    assert {one.worker for one in samples} == {"w1"}
    assert all(one.short and not one.degraded and one.bundle == "" for one in samples)
    assert {one.bundle for one in run(Server(), 3, loop="closed", connections=1)} == {"abc"}


def test_a_broken_connection_is_an_answer_too() -> None:
    server = Server(drops=2)
    samples = run(server, 6, loop="closed", connections=1)
    assert sorted(one.status for one in samples) == [BROKEN, BROKEN, 200, 200, 200, 200]
    assert server.connections == 3


def test_a_server_that_does_not_answer_is_not_awaited_too_long() -> None:
    samples = run(Server(pause=0.4), 2, loop="open", rate=100.0, connections=2, patience=0.1)
    assert [one.status for one in samples] == [BROKEN, BROKEN]
    assert all(one.milliseconds >= 100 for one in samples)


def test_a_run_can_be_ended_early() -> None:
    async def both() -> int:
        server = Server()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        run = Run("127.0.0.1", listening.sockets[0].getsockname()[1])
        await run.connect(1)
        requests = [Request(Call("recommend", "/", {}), "here") for _ in range(1000)]
        asyncio.get_running_loop().call_later(SETTLE + 0.1, run.stop)
        await run.open_loop(requests, rate=100.0, patience=1.0)
        await run.close()
        listening.close()
        await asyncio.gather(*server.tasks)
        return len(run.samples)

    assert 1 <= asyncio.run(both()) <= 30


def test_requests_to_warm_up_are_not_counted() -> None:
    server = Server()
    assert len(run(server, 5, loop="closed", connections=1, warm=2)) == 3
    assert server.answered == 5

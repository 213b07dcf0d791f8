"""Services under measurement, each started as its user would and stopped whole, and the memory of their processes."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.environments import clean_environment
from benchmarks.accuracy.measured import BenchmarkError

POLL = 0.02
START_SECONDS = 300.0
STOP_SECONDS = 30.0
WORKER_MARKS = ("_bentoml_impl.worker", "bentoml_cli.worker", "multiprocessing.spawn", "multiprocessing.forkserver")
"""What stands in the command line of a process that answers requests, in BentoML and in the peers."""


class Service(NamedTuple):
    """A service that is ready."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    ready_s: float
    """Seconds from the start of the command until readiness was answered with 200, by whichever worker was first."""

    def ask(self, path: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
        """One request on a connection of its own: status, JSON (None if it is none), headers in lower case."""
        return ask(self.port, path, body)

    def schema(self) -> dict[str, Any]:
        """What the service says of its own routes."""
        _, content, _ = self.ask("/openapi.json")
        return content if isinstance(content, dict) else {}


class Memory(NamedTuple):
    """What one process holds, in MiB."""

    pss: float
    """Its own pages and its share of those that it shares."""
    private: float
    """Pages that no other process maps."""
    shared: float
    """Pages that others map too, each counted whole."""
    anonymous: float
    """The share of `pss` that lies in no file: what one more worker costs at least."""


def ask(port: int, path: str, body: Any = None, timeout: float = 30.0) -> tuple[int, Any, dict[str, str]]:
    """GET without a body, POST with one. Raises OSError where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {} if body is None else {"content-type": "application/json"}
        content = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, content, headers)
        answer = connection.getresponse()
        text = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        try:
            return answer.status, json.loads(text), found
        except ValueError:
            return answer.status, None, found
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


@contextmanager
def tailorbird(
    state: str,
    *,
    workers: int,
    folder: Path,
    bundle: Path | None = None,
    registry: Path | None = None,
    config: Path | None = None,
) -> Iterator[Service]:
    """The product, by its own command, ready in all workers."""
    where = ["--bundle", str(bundle)] if bundle else ["--registry", str(registry)]
    more = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "tailorbird", "serve", *where, "--state", state, "--workers", str(workers), *more]
    with running(command, "/readyz", folder / "tailorbird.log") as service:
        await_workers(service, workers)
        yield service


@contextmanager
def floor(workers: int, folder: Path) -> Iterator[Service]:
    """The empty endpoint of the same BentoML."""
    command = [sys.executable, "-m", "bentoml", "serve", "benchmarks.serving.floor_service:Floor"]
    with running(command, "/readyz", folder / "floor.log", environment={"TAILORBIRD_WORKERS": str(workers)}) as service:
        yield service


@contextmanager
def running(
    command: Sequence[str], ready: str, log: Path, *, environment: dict[str, str] | None = None
) -> Iterator[Service]:
    """Start a command with `--port N` behind it, await 200 at `ready`, and end all its processes at last.

    Raises BenchmarkError when it ends or is not ready in time.
    """
    port = free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-bentoml-") as home, log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=ROOT,
            env={**users_environment(), "BENTOML_HOME": home, **(environment or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _await(lambda: ask(port, ready)[0] == 200, process, log)
            yield Service(port, process, log, round(time.perf_counter() - started, 3))
        finally:
            _stop(process)


def users_environment() -> dict[str, str]:
    """The environment of a service: nobody tells it how many threads to take."""
    return {name: value for name, value in clean_environment().items() if name != "OMP_NUM_THREADS"}


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def await_workers(service: Service, workers: int) -> set[str]:
    """Ask for readiness until so many different workers said yes; their names."""
    seen: set[str] = set()

    def look() -> bool:
        status, _, headers = service.ask("/readyz")
        if status == 200:
            seen.add(headers.get("x-tailorbird-worker", ""))
        return len(seen) >= workers

    _await(look, service.process, service.log)
    return seen


def _await(question: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.perf_counter() + START_SECONDS
    while True:
        try:
            if question():
                return
        except OSError:
            pass
        if process.poll() is not None or time.perf_counter() > deadline:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            state = "is not ready" if process.returncode is None else f"ended with {process.returncode}"
            raise BenchmarkError("\n".join([f"the service {state}:", *lines]))
        time.sleep(POLL)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """A polite end, then a certain one, for the whole session of processes."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def processes(root: int) -> dict[int, str]:
    """The process and its descendants, with what each is: worker or other."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, waiting = dict[int, str](), [root]
    while waiting:
        one = waiting.pop()
        found[one] = _role(one)
        waiting += children.get(one, [])
    return found


def _role(process: int) -> str:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "other"
    return "worker" if any(mark in command for mark in WORKER_MARKS) else "other"


def memory_of(process: int) -> Memory:
    """From /proc/PID/smaps_rollup. Raises OSError when the process has ended."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return Memory(
        pss=round(found["Pss"], 1),
        private=round(found["Private_Clean"] + found["Private_Dirty"], 1),
        shared=round(found["Shared_Clean"] + found["Shared_Dirty"], 1),
        anonymous=round(found["Pss_Anon"], 1),
    )


def memory_of_workers(service: Service) -> list[Memory]:
    """Every process that answers requests, the largest first."""
    return memory_by_role(service)["worker"]


def memory_by_role(service: Service) -> dict[str, list[Memory]]:
    """Workers and others, the largest first."""
    found: dict[str, list[Memory]] = {"worker": [], "other": []}
    for process, role in processes(service.process.pid).items():
        found[role].append(memory_of(process))
    return {role: sorted(each, reverse=True) for role, each in found.items()}

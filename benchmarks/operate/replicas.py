"""What replicas cost that share one Redis and one registry: their memory, their start, and how soon they agree.

Each is a service of one worker with temporary files of its own, as on a machine of its own; the store syncs each write
before it acknowledges it. That nothing is lost when one is killed is a test (tests/slow/test_replicas.py).
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import click
import httpx
import numpy as np
import redis
import yaml

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.operate.processes import MB, family_mb
from benchmarks.operate.results import Row, about_now, put
from benchmarks.person.redis_server import DURABLE, redis_program, running_redis
from benchmarks.serving.servers import free_port
from benchmarks.serving.world import world_of
from serving.lifecycle.launch import launch
from serving.lifecycle.registry import promote, rollback
from serving.manifest import MANIFEST, renew_manifest

PATIENCE_SECONDS = 120.0
TURNS = 30
SWAPS = 3
SERVABLE_SECONDS = 1.0
GRANTED = {"unknown": "granted", "basis": "simulated people"}


class Replica(NamedTuple):
    """One service, and a connection to it."""

    client: httpx.Client
    process: "subprocess.Popen[bytes]"
    ready_s: float
    """Seconds from its start until it was ready."""

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """What it answers. Raises HTTPStatusError when it does not."""
        response = self.client.post(path, json=body).raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    @property
    def bundle(self) -> str:
        return str(self.client.get("/readyz").json()["bundle"])


@click.command()
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="A bundle; that of 27,000 simulated items, if not given."
)
@click.option("--note", default="", help="What the load of the machine does not say.")
def main(bundle: Path | None, note: str) -> None:
    """Measure two replicas, and write a row of results.json and the page."""
    about = about_now("benchmarks.operate.replicas", note)
    program = redis_program()
    if program is None:
        raise BenchmarkError("no redis-server is installed")
    source = bundle or world_of("27k").bundle
    with TemporaryDirectory(prefix="tailorbird-replicas-") as name:
        figures = measure(program, Path(name), source)
    worst = float(figures["item servable on both, worst, s"])
    target = f"an item within {SERVABLE_SECONDS:g} s"
    put(Row(study="replicas", name="two", figures=figures, target=target, met=worst <= SERVABLE_SECONDS, about=about))
    click.echo(json.dumps(figures, indent=1))


def two_bundles(folder: Path, source: Path) -> None:
    """Copies `first` and `second` of a bundle, each with a name of its own; the first is live in `folder`/registry."""
    for name in ("first", "second"):
        shutil.copytree(source, folder / name)
        manifest = folder / name / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "note": name}))
        renew_manifest(folder / name)
    promote(folder / "first", folder / "registry")


def measure(program: str, folder: Path, source: Path) -> dict[str, Any]:
    """The figures of two replicas over copies of a bundle."""
    two_bundles(folder, source)
    serving = {"workers": 1, "deadline_ms": 10_000, "write_deadline_ms": 10_000, "consent": {"personalize": GRANTED}}
    (folder / "serving.yaml").write_text(yaml.safe_dump({"serving": serving}))
    with ExitStack() as stack:
        url = stack.enter_context(running_redis(program, folder, *DURABLE))
        both = [stack.enter_context(replica(folder, url, name)) for name in ("one", "other")]
        servable = [_servable(both, f"new-{turn}", turn) for turn in range(TURNS)]
        told = [_told(both, turn) for turn in range(TURNS)]
        followed = [_followed(both, folder, turn) for turn in range(SWAPS)]
        with redis.Redis.from_url(url) as client:
            held = client.info("memory")["used_memory_rss"] / MB
        return {
            "start, s": round(max(one.ready_s for one in both), 1),
            "memory of each, MB": round(max(family_mb(one.process.pid) for one in both)),
            "Redis, MB": round(held),
            "event acknowledged, p50, ms": round(1000 * float(np.median(told)), 2),
            "item servable on both, p50, s": round(float(np.median(servable)), 3),
            "item servable on both, worst, s": round(max(servable), 3),
            "promotion followed by both, s": round(followed[0], 2),
            "rollback followed by both, worst, s": round(max(followed[1:]), 2),
        }


@contextmanager
def replica(folder: Path, state: str, name: str) -> Iterator[Replica]:
    """A service that follows the registry of a folder, ready; it is stopped at last."""
    machine = folder / name
    machine.mkdir()
    begun, port = time.monotonic(), free_port()
    with patch.dict(os.environ, {"TMPDIR": str(machine), "BENTOML_HOME": str(machine / "bentoml")}):
        process = launch(registry=folder / "registry", state=state, config=folder / "serving.yaml", port=port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            until(lambda: _ready(client, process))
            yield Replica(client, process, time.monotonic() - begun)
    finally:
        process.terminate()
        process.wait(30)


def _ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise BenchmarkError(f"the service ended with {process.returncode}")
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _servable(both: Sequence[Replica], item: str, turn: int) -> float:
    """Seconds from the post of an item to one until both know it."""
    begun = time.monotonic()
    both[turn % 2].ask("/v1/items", items=[{"item_id": item, "attributes": {}}])
    until(lambda: all(one.ask("/v1/rank", item_ids=[item])["items"] for one in both))
    return time.monotonic() - begun


def _told(both: Sequence[Replica], turn: int) -> float:
    """Seconds of telling one an event. Raises BenchmarkError when the next answer of the other does not know it."""
    tell, ask = both[turn % 2], both[1 - turn % 2]
    item = ask.ask("/v1/recommend", user_id="somebody", k=1)["items"][0]["item_id"]
    kind = {"event_id": f"e{turn}", "user_id": "somebody", "item_id": item, "type": "view"}
    begun = time.monotonic()
    tell.ask("/v1/events", events=[kind])
    seconds = time.monotonic() - begun
    if len(ask.ask("/v1/profile", user_id="somebody")["events"]) != turn + 1:
        raise BenchmarkError("one replica acknowledged an event that the other does not know")
    return seconds


def _followed(both: Sequence[Replica], folder: Path, turn: int) -> float:
    """Seconds until both answer from the bundle that the registry came to name."""
    before, begun = both[0].bundle, time.monotonic()
    if turn == 0:
        promote(folder / "second", folder / "registry")
    else:
        rollback(folder / "registry")
    until(lambda: all(one.bundle != before for one in both))
    return time.monotonic() - begun


def until(true: Callable[[], bool]) -> None:
    """Returns once something is so. Raises BenchmarkError when that takes longer than PATIENCE_SECONDS."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > end:
            raise BenchmarkError(f"not so within {PATIENCE_SECONDS:g} s")
        time.sleep(0.005)


if __name__ == "__main__":
    main()

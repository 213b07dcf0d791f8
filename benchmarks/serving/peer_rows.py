"""The peers' figures: the same model behind other servers, in an environment of their own, under the same load."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.environments import FOLDER, environment
from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.accuracy.results import write_atomically
from benchmarks.serving.generator import drive
from benchmarks.serving.latency import NAMED_RATE, WARM_REQUESTS
from benchmarks.serving.plan import Plan
from benchmarks.serving.rendering import read_peers, write_pages
from benchmarks.serving.results import about_now
from benchmarks.serving.samples import OK, answered, latency
from benchmarks.serving.servers import Service, memory_of_workers, running, tailorbird
from benchmarks.serving.traffic import K, recommends

REQUIREMENTS = ROOT / "benchmarks" / "serving" / "peers" / "requirements.txt"
PEERS = {"FastAPI": ("fastapi_app", "/healthy"), "LitServe": ("litserve_app", "/health")}
"""Module of each and the path at which it says that it is ready."""
SAME = 20
"""People whose lists must be ours, to the item, or the peer does not run the same model."""
MOST = 1_000


def measure_peers(plan: Plan, results: Path) -> None:
    """p50, p95 and p99 at 100 requests a second and the saturation of each peer, written into peers.json."""
    expected = _own_lists(plan)
    for name in PEERS:
        click.echo(f"{plan.size} {name} ...")
        about = about_now()
        figures = {**_measure(plan, name, expected), "about": about.model_dump(mode="json")}
        path = results / "peers.json"
        content = read_peers(path)
        content.setdefault(plan.size, {})[name] = figures
        write_atomically(path, json.dumps(content, indent=1) + "\n")
        write_pages(results)
        shown = {key: value for key, value in figures.items() if key.startswith("peer_")}
        click.echo(f"{plan.size} {name}: {shown} (load {about.load[0]} before)")


def _own_lists(plan: Plan) -> dict[str, list[str]]:
    plan.crowd.again()
    with tailorbird(plan.state, bundle=plan.bundle, workers=1, folder=plan.logs) as service:
        return {user: _list(service, user) for user in plan.crowd.take(SAME)}


def _list(service: Service, user: str) -> list[str]:
    status, content, _ = service.ask("/v1/recommend", {"user_id": user, "k": K})
    if status != OK:
        raise BenchmarkError(f"/v1/recommend answered {status}: {content}")
    return [one["item_id"] for one in content["items"]]


def _measure(plan: Plan, name: str, expected: dict[str, list[str]]) -> dict[str, Any]:
    with _peer(plan, name) as service:
        same = sum(_list(service, user) == wanted for user, wanted in expected.items())
        if same < len(expected):
            raise BenchmarkError(f"{name}: {len(expected) - same} of {len(expected)} lists are not ours")
        plan.crowd.again()
        plan.crowd.take(SAME)
        drive(recommends(plan.crowd.take(WARM_REQUESTS)), port=service.port, loop="closed")
        users = plan.crowd.take(round(NAMED_RATE * plan.seconds))
        paced = drive(recommends(users), port=service.port, loop="open", rate=NAMED_RATE)
        users = plan.crowd.take(min(round(MOST * plan.seconds), plan.crowd.left))
        most = drive(recommends(users), port=service.port, loop="closed", seconds=plan.seconds)
        memory = [one._asdict() for one in memory_of_workers(service)]
    figures = latency(answered(paced.samples))
    return {
        **{f"peer_{key}": figures.get(key) for key in ("p50_ms", "p95_ms", "p99_ms")},
        "peer_rps": most.told()["rps"],
        "statuses": paced.told()["statuses"],
        "ready_seconds": service.ready_s,
        "processes": memory,
    }


@contextmanager
def _peer(plan: Plan, name: str) -> Iterator[Service]:
    """A peer with as many workers as the product, ready."""
    module, ready = PEERS[name]
    python = environment(FOLDER / "serving-peers", REQUIREMENTS)
    command = [str(python), "-m", f"benchmarks.serving.peers.{module}", "--workers", str(plan.workers)]
    command += ["--bundle", str(plan.bundle), "--state", plan.state]
    with running(command, ready, plan.logs / f"{module}.log") as service:
        yield service

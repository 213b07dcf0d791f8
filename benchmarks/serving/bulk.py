"""Lists for many people: by `tailorbird recommend` with a process for each core, and by /v1/recommend/batch."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.measured import BenchmarkError, Measure, run_measured
from benchmarks.accuracy.results import commit
from benchmarks.serving.plan import Plan, require_route
from benchmarks.serving.servers import tailorbird, users_environment
from benchmarks.serving.traffic import K
from serving.bulk.processes import cores

BATCH = 1_000
"""Users in one call of the route."""
LANES = 2
PATIENCE_SECONDS = 120.0
PATH = "/v1/recommend/batch"


def measure_bulk(plan: Plan) -> dict[str, Any]:
    """Users a second of the command; the time that it takes for one user, all of it start, is not counted.

    What the other processes take to start is counted: they do so while the command works. `one_process` is the same
    for a tenth of the users without any other.
    """
    plan.crowd.again()
    alone, all_of_them = _command(plan, 1), _command(plan, plan.bulk_users)
    few = max(plan.bulk_users // 10, 2)
    one_process = _command(plan, few, "--processes", "1")
    return {
        "bulk_users_per_s": round(_rate(plan.bulk_users, all_of_them, alone), 1),
        "users": plan.bulk_users,
        "processes": cores(),
        "one_process_users_per_s": round(_rate(few, one_process, alone), 1),
        "seconds": all_of_them.seconds,
        "start_seconds": alone.seconds,
        "peak_mb": all_of_them.peak_mb,
    }


def _rate(users: int, measure: Measure, alone: Measure) -> float:
    return (users - 1) / (measure.seconds - alone.seconds)


def _command(plan: Plan, users: int, *options: str) -> Measure:
    folder = plan.folder / "bulk"
    folder.mkdir(parents=True, exist_ok=True)
    people, record = folder / "users.csv", folder / "measure.json"
    people.write_text("\n".join(["user_id", *plan.crowd.take(users), ""]), encoding="utf-8")
    record.unlink(missing_ok=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tailorbird",
        "recommend",
        "--bundle",
        plan.bundle,
    ]
    command += ["--state", plan.state, "--users", people, "--k", str(K), "-o", folder / "lists.parquet"]
    command += options
    return run_measured(command, folder / "log", record, cwd=ROOT, environment=users_environment(), commit=commit())


def measure_batch(plan: Plan) -> dict[str, Any]:
    """Users a second of the route, two calls at a time. Raises NotYetError where there is no such route."""
    with tailorbird(plan.state, bundle=plan.bundle, workers=plan.workers, folder=plan.logs) as service:
        require_route(service, PATH)
        plan.crowd.again()
        calls = [plan.crowd.take(BATCH) for _ in range(max(plan.bulk_users // BATCH, 1))]
        start = time.perf_counter()
        with ThreadPoolExecutor(LANES) as pool:
            answered = sum(pool.map(partial(_lists, service.port), calls))
        seconds = time.perf_counter() - start
    if answered != len(calls) * BATCH:
        raise BenchmarkError(f"{PATH} gave {answered} lists for {len(calls) * BATCH} users")
    return {"batch_users_per_s": round(answered / seconds, 1), "users": answered, "calls_at_once": LANES}


def _lists(port: int, users: list[str]) -> int:
    """How many of some users get a full list from one call, on a connection of its own."""
    content = {"user_ids": users, "k": K}
    response = httpx.post(f"http://127.0.0.1:{port}{PATH}", json=content, timeout=PATIENCE_SECONDS)
    return sum(len(one["items"]) == K for one in response.raise_for_status().json()["lists"])

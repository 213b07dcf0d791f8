"""Latency at fixed rates, and in the same run its floor and its stages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving import traffic
from benchmarks.serving.generator import CONNECTIONS, Outcome, drive
from benchmarks.serving.plan import Plan
from benchmarks.serving.samples import answered, latency
from benchmarks.serving.servers import Service, floor, tailorbird, users_environment
from benchmarks.serving.stages import WARM, StagesJob

NAMED_RATE = 100
OTHER_RATES = (50, 200, 400)
STAGE_PEOPLE = 500
WARM_REQUESTS = 500


def measure_latency(plan: Plan) -> dict[str, Any]:
    """100 requests a second, then the other rates, the floor at 100, and the stages over the same people."""
    with tailorbird(plan.state, bundle=plan.bundle, workers=plan.workers, folder=plan.logs) as service:
        plan.crowd.again()
        warm(plan, service)
        named, asked = at_rate(plan, service, NAMED_RATE)
        rates = {str(rate): at_rate(plan, service, rate)[0].told() for rate in OTHER_RATES}
    figures = latency(answered(named.samples, "recommend"))
    stages = measure_stages(plan, [one.body["user_id"] for one in asked if one.kind == "recommend"])
    return {
        **{f"recommend_{name}": figures[name] for name in ("p50_ms", "p95_ms", "p99_ms")},
        "p50_over_stages": round(figures["p50_ms"] / stages["sum"]["p50_ms"], 3),
        "rates": rates,
        "at_100": named.told(),
        "stages": stages,
        "floor": measure_floor(plan),
    }


def warm(plan: Plan, service: Service) -> None:
    """So many requests that every worker met each kind."""
    drive(calls_for(plan, WARM_REQUESTS), port=service.port, loop="closed", connections=CONNECTIONS)


def at_rate(plan: Plan, service: Service, rate: float, **more: Any) -> tuple[Outcome, list[traffic.Call]]:
    """An open loop of the mix, and what was asked."""
    calls = calls_for(plan, round(rate * plan.seconds), **more)
    return drive(calls, port=service.port, loop="open", rate=rate), calls


def calls_for(plan: Plan, count: int, **more: Any) -> list[traffic.Call]:
    """So many requests of the mix, to people not yet asked."""
    return traffic.mixed(count, plan.crowd, plan.item_ids, seed=count, **more)


def measure_floor(plan: Plan) -> dict[str, Any]:
    """The empty endpoint at the named rate, and how many it answers when more is always waiting."""
    with floor(plan.workers, plan.logs) as service:
        drive(traffic.empty(WARM_REQUESTS), port=service.port, loop="closed")
        paced = drive(traffic.empty(round(NAMED_RATE * plan.seconds)), port=service.port, loop="open", rate=NAMED_RATE)
        most = drive(traffic.empty(round(3000 * plan.seconds)), port=service.port, loop="closed", seconds=plan.seconds)
    return {**latency(answered(paced.samples)), "saturation_rps": most.told()["rps"]}


def measure_stages(plan: Plan, users: list[str]) -> dict[str, dict[str, float]]:
    """Stages of one answer over the first of these people, in a process of their own."""
    path = plan.folder / "stages.json"
    job = StagesJob(bundle=plan.bundle, state=plan.state, users=users[: STAGE_PEOPLE + WARM])
    path.write_text(job.model_dump_json(), encoding="utf-8")
    run_module("benchmarks.serving.stages", path)
    told: dict[str, dict[str, float]] = json.loads(path.with_suffix(".out.json").read_text(encoding="utf-8"))
    return told


def run_module(module: str, *arguments: str | Path) -> None:
    """Run a module to its end. Raises BenchmarkError with the last of what it said when it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    ended = subprocess.run(command, cwd=ROOT, env=users_environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BenchmarkError(f"{module} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")

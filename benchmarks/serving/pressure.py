"""More than the service can take: how much that is, and what becomes of three times as much."""

from typing import Any

from benchmarks.serving.generator import drive
from benchmarks.serving.latency import calls_for, warm
from benchmarks.serving.plan import Plan
from benchmarks.serving.samples import answered
from benchmarks.serving.servers import tailorbird

MOST = 2_000
"""Requests a second for which requests are prepared; a faster service would run out of them."""
OVERLOAD = 3.0
OVERLOAD_CONNECTIONS = 512
"""So many that the service, not the generator, decides what waits."""


def measure_saturation(plan: Plan) -> dict[str, Any]:
    """Useful answers a second in a closed loop that insists; each connection asks as soon as it has its answer.

    Without insisting, refused recommendations made room for events, which are never refused: at a million items over
    half of the answers counted were events, and saturation was told half as high again as the service can hold.
    """
    with tailorbird(plan.state, bundle=plan.bundle, workers=plan.workers, folder=plan.logs) as service:
        plan.crowd.again()
        warm(plan, service)
        calls = calls_for(plan, min(round(MOST * plan.seconds), plan.crowd.left))
        outcome = drive(calls, port=service.port, loop="closed", seconds=plan.seconds, insist=True)
    told = outcome.told()
    if len(outcome.samples) == len(calls):
        told["note"] = "all prepared requests were sent: give more --users, or fewer --seconds"
    return {"saturation_rps": told["rps"], **told}


def measure_overload(plan: Plan, saturation: float) -> dict[str, Any]:
    """Three times the saturation in an open loop: accepted, refused, and how much of the work was useful."""
    rate = OVERLOAD * saturation
    with tailorbird(plan.state, bundle=plan.bundle, workers=plan.workers, folder=plan.logs) as service:
        plan.crowd.again()
        warm(plan, service)
        calls = calls_for(plan, round(rate * plan.seconds))
        outcome = drive(calls, port=service.port, loop="open", rate=rate, connections=OVERLOAD_CONNECTIONS)
    during = [one for one in answered(outcome.samples) if one.done <= plan.seconds]
    useful = len(during) / plan.seconds
    return {
        "rate": round(rate, 1),
        "useful_rps": round(useful, 1),
        "useful_over_saturation": round(useful / saturation, 3),
        **outcome.told(),
    }

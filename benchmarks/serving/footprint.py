"""How long a service takes to be ready and what its processes hold, with one, two and three workers."""

from typing import Any

from benchmarks.serving.generator import drive
from benchmarks.serving.latency import calls_for
from benchmarks.serving.plan import Plan
from benchmarks.serving.servers import Memory, memory_by_role, tailorbird

WORKERS = (1, 2, 3)


def measure_memory(plan: Plan) -> dict[str, Any]:
    """Start-up with a warm page cache, then memory after 10,000 requests for each worker."""
    with tailorbird(plan.state, bundle=plan.bundle, workers=1, folder=plan.logs) as service:
        cold = service.ready_s
    held = {workers: _after_requests(plan, workers) for workers in WORKERS}
    sums = {workers: sum(one.pss for one in each["worker"]) for workers, (_, each, _) in held.items()}
    return {
        "ready_s": held[1][0],
        "worker_mb": round(sums[1], 1),
        "extra_worker_mb": round((sums[WORKERS[-1]] - sums[1]) / (WORKERS[-1] - 1), 1),
        "first_start_s": cold,
        "requests_a_worker": plan.memory_requests,
        "by_workers": {
            str(workers): {
                "ready_s": ready,
                "answers_by_worker": shares,
                "processes": [one._asdict() for one in each["worker"]],
                "other_processes": [one._asdict() for one in each["other"]],
            }
            for workers, (ready, each, shares) in held.items()
        },
    }


def _after_requests(plan: Plan, workers: int) -> tuple[float, dict[str, list[Memory]], list[float]]:
    with tailorbird(plan.state, bundle=plan.bundle, workers=workers, folder=plan.logs) as service:
        plan.crowd.again()
        calls = calls_for(plan, plan.memory_requests * workers)
        told = drive(calls, port=service.port, loop="closed", insist=True).told()
        return service.ready_s, memory_by_role(service), told["worker_shares"]

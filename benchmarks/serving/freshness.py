"""New items under load: how long from the request until every worker ranks the item and finds it near its twin."""

import secrets
import time
from typing import Any

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving.generator import generating
from benchmarks.serving.latency import NAMED_RATE, calls_for, warm
from benchmarks.serving.plan import Plan, require_route
from benchmarks.serving.samples import OK, percentile
from benchmarks.serving.servers import Service, tailorbird

PATH = "/v1/items"
PATIENCE = 10.0
"""Seconds after which an item counts as lost."""
PAUSE = 0.1
LOOK = 0.01
AGREE = 6
"""Different connections that must know an item: they land on workers unevenly."""


def measure_upsert(plan: Plan) -> dict[str, Any]:
    """Upserts one after the other at 100 requests a second. Raises NotYetError where the route is missing."""
    with tailorbird(plan.state, bundle=plan.bundle, workers=plan.workers, folder=plan.logs) as service:
        require_route(service, PATH)
        plan.crowd.again()
        warm(plan, service)
        calls = calls_for(plan, round(NAMED_RATE * plan.seconds))
        seconds: list[float] = []
        with generating(calls, port=service.port, loop="open", rate=NAMED_RATE) as generator:
            end = time.perf_counter() + plan.seconds
            while time.perf_counter() < end:
                seconds.append(seconds_to_serve(service))
                time.sleep(PAUSE)
            told = generator.outcome().told()
    return {"upsert_p99_s": round(percentile(seconds, 99), 3), "upserts": len(seconds), "traffic": told}


def seconds_to_serve(service: Service) -> float:
    """Upsert a pair of like items; seconds until they are ranked, and each is found near the other.

    Raises BenchmarkError when the service refuses the items or does not serve them within `PATIENCE`.
    """
    pair = [f"new-{secrets.token_hex(8)}" for _ in range(2)]
    start = time.perf_counter()
    status, content, _ = service.ask(PATH, items_body(pair))
    if status != OK or content["rejected"]:
        raise BenchmarkError(f"{PATH} answered {status}: {content}")
    agreed = 0
    while agreed < AGREE:
        if time.perf_counter() - start > PATIENCE:
            raise BenchmarkError(f"a new item was not served within {PATIENCE:.0f} s")
        if _ranked(service, pair) and _near(service, pair):
            agreed += 1
        else:
            time.sleep(LOOK)
    return time.perf_counter() - start


def items_body(item_ids: list[str]) -> dict[str, Any]:
    """What is posted: new items, alike in all but their ids."""
    price = round(1 + secrets.randbelow(10_000) / 100, 2)
    category = f"category-{secrets.randbelow(30):02d}"
    values = {"title": "A new thing", "category": category, "price": price, "imported": "no"}
    return {"items": [{"item_id": one, "attributes": values} for one in item_ids]}


def _ranked(service: Service, pair: list[str]) -> bool:
    status, content, _ = service.ask("/v1/rank", {"item_ids": pair})
    return status == OK and not content.get("unknown")


def _near(service: Service, pair: list[str]) -> bool:
    status, content, _ = service.ask("/v1/similar", {"item_ids": pair[:1], "k": 500})
    return status == OK and any(one["item_id"] == pair[1] for one in content["items"])

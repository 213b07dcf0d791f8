"""A bundle swapped under traffic: half of the saturation goes on while the registry's pointer moves."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving.generator import Generator, generating
from benchmarks.serving.latency import calls_for, warm
from benchmarks.serving.plan import NotYetError, Plan
from benchmarks.serving.samples import OK, Sample, answered, latency
from benchmarks.serving.servers import Service, ask, memory_of_workers, tailorbird
from benchmarks.serving.traffic import Call
from serving.lifecycle.registry import promote
from serving.manifest import MANIFEST, renew_manifest, verify_bundle

BEFORE = 20.0
"""Seconds of traffic before the first swap."""
TAKEN_UP = 60.0
"""Seconds within which all workers must answer from a promoted bundle."""
BETWEEN = 5.0
"""Seconds from the end of one swap to the next."""
SWAPS = 50
FEW = 5
"""Swaps whose memory is not counted, and then those whose median is."""
BREATH = 1.0
"""Seconds between two of many swaps: the former bundle is freed meanwhile."""
USUAL = 8.0
"""Seconds of traffic that are prepared for each of them."""
LOOK = 0.2
SURE = 20
"""Answers in a row from one bundle after which a swap is over: connections land on workers unevenly."""


def measure_swap(plan: Plan, saturation: float) -> dict[str, Any]:
    """Failed requests, and p99 during swaps over p99 before. Raises NotYetError when no swap happens."""
    rate, longest = saturation / 2, BEFORE + plan.swaps * (TAKEN_UP + BETWEEN)
    with _under_traffic(plan, rate, longest, BETWEEN) as (service, swap_to, generator):
        held = _held(service)
        time.sleep(BEFORE)
        spans = [swap_to(number) for number in range(plan.swaps)]
        generator.stop()
        done = generator.outcome()
        return {**_told(done.samples, done.began, spans), "rate": round(rate, 1), **_growth(held, _held(service))}


def measure_swaps(plan: Plan, saturation: float) -> dict[str, Any]:
    """Memory of the workers after many swaps over that after the first few, in which pools fill and code is loaded."""
    rate = saturation / 4
    with _under_traffic(plan, rate, SWAPS * USUAL, BREATH) as (service, swap_to, generator):
        held = []
        for number in range(SWAPS):
            swap_to(number)
            held.append(round(sum(_held(service)), 1))
        generator.stop()
        samples = generator.outcome().samples
    first, last = (median(some) for some in (held[FEW : 2 * FEW], held[-FEW:]))
    return {
        "swaps_memory_ratio": round(last / first, 3),
        "workers_mb_after_each": held,
        "rate": round(rate, 1),
        "requests": len(samples),
        "failed": sum(one.status != OK for one in samples),
    }


@contextmanager
def _under_traffic(
    plan: Plan, rate: float, seconds: float, pause: float
) -> Iterator[tuple[Service, Callable[[int], tuple[float, float]], Generator]]:
    """A service under an open loop, what makes the n-th swap and tells from when to when, and the load generator."""
    registry = plan.folder / "registry"
    shutil.rmtree(registry, ignore_errors=True)
    bundles = (plan.bundle, twin(plan.bundle, plan.folder / "twin"))
    promote(bundles[0], registry)
    with tailorbird(plan.state, registry=registry, workers=plan.workers, folder=plan.logs) as service:
        plan.crowd.again()
        warm(plan, service)
        calls = _long_traffic(plan, round(rate * seconds))
        with generating(calls, port=service.port, loop="open", rate=rate) as generator:
            yield service, lambda number: _swap(service, registry, bundles[(number + 1) % 2], pause), generator


def _long_traffic(plan: Plan, count: int) -> list[Call]:
    """So many requests; when everybody was asked, the first are asked again: many swaps take long."""
    calls: list[Call] = []
    while len(calls) < count:
        if not plan.crowd.left:
            plan.crowd.again()
        calls += calls_for(plan, min(count - len(calls), plan.crowd.left))
    return calls


def twin(bundle: Path, target: Path) -> Path:
    """The same bundle under another name: every file linked, only the manifest is its own."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(bundle, target, copy_function=lambda source, to: Path(to).hardlink_to(source))
    manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    (target / MANIFEST).unlink()
    (target / MANIFEST).write_text(json.dumps({**manifest, "created": "as a twin"}), encoding="utf-8")
    renew_manifest(target)
    return target


def _swap(service: Service, registry: Path, bundle: Path, pause: float) -> tuple[float, float]:
    """Promote, and await that every answer comes from the new bundle: from when to when."""
    name = str(verify_bundle(bundle)["fingerprint"])[:12]
    start = time.perf_counter()
    promote(bundle, registry)
    seen = 0
    while seen < SURE:
        if time.perf_counter() - start > TAKEN_UP:
            raise NotYetError(f"the service did not take up a promoted bundle within {TAKEN_UP:.0f} s")
        seen = seen + 1 if _answering(service.port) == name else 0
        if not seen:
            time.sleep(LOOK)
    end = time.perf_counter()
    time.sleep(pause)
    return start, end


def _answering(port: int) -> str:
    status, content, _ = ask(port, "/readyz")
    return str(content.get("bundle", "")) if status == OK else ""


def _told(samples: list[Sample], began: float, spans: list[tuple[float, float]]) -> dict[str, Any]:
    first = spans[0][0] - began
    before = [one for one in answered(samples, "recommend") if one.done < first]
    inside = _within([(start - began, end - began) for start, end in spans])
    during = [one for one in answered(samples, "recommend") if inside(one)]
    calm, busy = latency(before), latency(during)
    if not calm or not busy:
        raise BenchmarkError("too few requests before or during the swap: give more --seconds or --users")
    return {
        "swap_failed": sum(one.status != OK for one in samples),
        "failures": failures(samples, first, inside),
        "swap_p99_ratio": round(busy["p99_ms"] / calm["p99_ms"], 3),
        "swaps": len(spans),
        "seconds_a_swap": [round(end - start, 2) for start, end in spans],
        "before": calm,
        "during": busy,
        "statuses": {str(status): count for status, count in sorted(Counter(one.status for one in samples).items())},
        "bundles": sorted({one.bundle for one in samples if one.bundle}),
    }


def failures(samples: list[Sample], first: float, inside: Callable[[Sample], bool]) -> list[dict[str, Any]]:
    """What became of those that failed: by phase of the run, route, status and error code, with when that was."""
    found: dict[tuple[str, str, int, str], list[float]] = {}
    for one in samples:
        if one.status != OK:
            phase = "before" if one.done < first else "during" if inside(one) else "after"
            found.setdefault((phase, one.kind, one.status, one.error), []).append(one.due - first)
    names = ("phase", "kind", "status", "error")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "requests": len(moments),
            "seconds_after_the_first_swap_began": [round(min(moments), 2), round(max(moments), 2)],
        }
        for key, moments in sorted(found.items())
    ]


def _within(spans: list[tuple[float, float]]) -> Callable[[Sample], bool]:
    """Whether a request was under way at any moment of the spans."""
    return lambda one: any(one.due <= end and one.done >= start for start, end in spans)


def _held(service: Service) -> list[float]:
    return [one.pss for one in memory_of_workers(service)]


def _growth(before: list[float], after: list[float]) -> dict[str, Any]:
    return {
        "workers_mb_before": before,
        "workers_mb_after": after,
        "memory_ratio": round(sum(after) / sum(before), 3),
    }

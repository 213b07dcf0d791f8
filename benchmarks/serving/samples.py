"""What came of the requests of one run, and the figures that are told of it.

Latency counts from the moment at which a request was due: one that had to wait for a free connection, because the
service held all others up, waited for the service.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

OK = 200
REFUSED = 429
BROKEN = 0
"""Status of a request whose connection broke or that was never answered."""
QUANTILES = (50.0, 95.0, 99.0)


class Sample(NamedTuple):
    """One request; moments in seconds since the start of the run."""

    kind: str
    due: float
    sent: float
    done: float
    status: int
    worker: str
    """The process that answered."""
    bundle: str
    """The model that answered, when the answer names one."""
    short: bool
    """Whether the list was shorter than asked for."""
    degraded: bool
    """Whether the answer says that a stage was left out."""
    error: str = ""
    """The code of an error, as the answer names it."""

    @property
    def milliseconds(self) -> float:
        """From due to done."""
        return (self.done - self.due) * 1000


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` % of all do not exceed (nearest rank); never one in between.

    Raises ValueError for no values, or a percent outside 0 to 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"no {percent} % point of {len(values)} values")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def latency(samples: Iterable[Sample]) -> dict[str, float]:
    """p50_ms, p95_ms, p99_ms, max_ms; nothing when there are no samples."""
    return _quantiles([one.milliseconds for one in samples])


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    named = {f"p{percent:.0f}_ms": round(percentile(values, percent), 3) for percent in QUANTILES}
    return {**named, "max_ms": round(max(values), 3)}


def answered(samples: Iterable[Sample], kind: str | None = None) -> list[Sample]:
    """Those that got a useful answer, of one kind or all."""
    return [one for one in samples if one.status == OK and kind in (None, one.kind)]


def told(samples: Sequence[Sample], seconds: float) -> dict[str, Any]:
    """Everything about a run of some seconds: rates, latency by kind and for the refused, who answered."""
    statuses, workers = Counter(one.status for one in samples), Counter(one.worker for one in samples if one.worker)
    useful = answered(samples)
    told: dict[str, Any] = {
        "requests": len(samples),
        "seconds": round(seconds, 2),
        "rps": round(len(useful) / seconds, 1) if seconds else 0.0,
        "statuses": {("broken" if status == BROKEN else str(status)): count for status, count in statuses.items()},
        "by_kind": {kind: latency(answered(samples, kind)) for kind in sorted({one.kind for one in samples})},
        "waited_to_be_sent": _quantiles([(one.sent - one.due) * 1000 for one in samples]),
        "worker_shares": [round(count / sum(workers.values()), 3) for _, count in workers.most_common()],
        "short_answers": sum(one.short for one in useful),
        "degraded_answers": sum(one.degraded for one in useful),
    }
    if refused := [one for one in samples if one.status == REFUSED]:
        told["refused"] = latency(refused)
    return told

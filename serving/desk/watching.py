"""What Prometheus is told of answers: counted where they are made, so that every route and worker counts alike."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from features.moments import SECOND
from serving.answers import Answer
from serving.bundle import Bundle
from serving.metrics import (
    ANSWERS,
    DEGRADED,
    EVENT_LAG_SECONDS,
    EVENTS,
    FILTER_CACHE_BYTES,
    FILTER_PLANS,
    ITEMS_SHOWN,
    SHORTFALLS,
    STAGE_SECONDS,
)
from serving.state.protocol import StoredEvent
from serving.telemetry.current import current

ListRoute = Literal["recommend", "rank", "similar"]


def watch_list(route: ListRoute, bundle: Bundle, answer: Answer, without: Iterable[str] = ()) -> None:
    """Count one list, whoever asked for it; `without` is what it lacks beside what the answer left out."""
    ANSWERS.labels(route, bundle.name).inc()
    for stage, milliseconds in answer.timings.items():
        STAGE_SECONDS.labels(stage, bundle.name).observe(milliseconds / 1000)
    if (work := current()) and work.trace:
        work.trace.listed(bundle.name, answer.timings)
    for source, items in Counter(item.sources[0] if item.sources else "none" for item in answer.items).items():
        ITEMS_SHOWN.labels(source, bundle.name).inc(items)
    watch_degraded((*without, *answer.degraded), bundle.name)
    if answer.shortfall:
        SHORTFALLS.labels(route, bundle.name).inc()
    if answer.filtering:
        FILTER_PLANS.labels(answer.filtering.plan).inc()
        FILTER_CACHE_BYTES.set(bundle.filterable.cache.size)


def watch_degraded(missing: Iterable[str], bundle: str) -> None:
    """Count what one answer had to do without."""
    for one in missing:
        DEGRADED.labels(one, bundle).inc()


def watch_events(statuses: Iterable[str], stored: Iterable[StoredEvent], now: int) -> None:
    """Count posted events by what became of them, and how late those came that are right; `now` in ms."""
    for status, events in Counter(statuses).items():
        EVENTS.labels(status).inc(events)
    for event in stored:
        EVENT_LAG_SECONDS.observe(max(now - event.moment, 0) / SECOND)

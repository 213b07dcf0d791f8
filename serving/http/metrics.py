"""What Prometheus is told, summed over all workers. No label holds an id: each value would be a series of its own."""

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

SECONDS = Histogram(
    "tailorbird_request_seconds", "Time to answer, by route and status.", ["route", "status"], buckets=_BUCKETS
)
REFUSED = Counter("tailorbird_refused", "Requests answered with 429, by route.", ["route"])
DEGRADED = Counter("tailorbird_degraded", "Answers that had to do without something, by what it was.", ["without"])
INSIDE = Gauge(
    "tailorbird_requests_inside", "Requests that wait or are worked on, by lane.", ["lane"], multiprocess_mode="livesum"
)

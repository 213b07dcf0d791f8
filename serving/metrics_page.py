"""docs/metrics.md, from the metrics themselves: `python -m serving.metrics_page > docs/metrics.md`."""

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.metrics import MetricWrapperBase

from serving import metrics

_OVER_WORKERS = {"livesum": "sum", "livemax": "largest", "livemin": "smallest"}


def series() -> dict[str, MetricWrapperBase]:
    """Every metric by the name that queries use; a histogram's series begin with it."""
    found = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    return {f"{name_of(one)}_total" if isinstance(one, Counter) else name_of(one): one for one in found}


def name_of(metric: MetricWrapperBase) -> str:
    """The name that the metric was given."""
    return str(_described(metric).name)


def page() -> str:
    """The page as Markdown."""
    rows = [
        f"| `{name}` | {_kind(one)} | {', '.join(f'`{label}`' for label in one._labelnames) or '–'} "
        f"| {_described(one).documentation} |"
        for name, one in series().items()
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "`GET /metrics` tells these, summed over the workers of a machine where it does not say otherwise.",
            "Times are in seconds, sizes in bytes. Written by `make docs` from serving/metrics.py; not by hand.",
            "",
            "| name | kind | labels | what it is |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _described(metric: MetricWrapperBase) -> Metric:
    return next(iter(metric.describe()))


def _kind(metric: MetricWrapperBase) -> str:
    if isinstance(metric, Gauge):
        return f"gauge, {_OVER_WORKERS[metric._multiprocess_mode]} over the workers"
    return "histogram" if isinstance(metric, Histogram) else "counter"


if __name__ == "__main__":
    print(page(), end="")

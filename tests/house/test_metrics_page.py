"""docs/metrics.md is what serving/metrics.py says, and every query of deploy/ asks for metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Histogram

from serving import metrics_page

ROOT = Path(__file__).parents[2]
RULES = tuple(ROOT / "deploy" / "prometheus" / name for name in ("drift.yml", "alerts.yml"))
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "tailorbird.json"
RECORDED_LABELS = ("bundle", "input", "bin")
NAME = re.compile(r"\btailorbird[_:][\w:]+")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")


def queries() -> Iterator[str]:
    """Every PromQL expression of the rules and the dashboard."""
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def rules() -> Iterator[dict[str, str]]:
    """Every rule, alerts and recorded series."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def known_series() -> dict[str, tuple[str, ...]]:
    """Labels by the name of each series that /metrics may hold, or a rule records."""
    found: dict[str, tuple[str, ...]] = {}
    for name, metric in metrics_page.series().items():
        ends = ("_bucket", "_sum", "_count") if isinstance(metric, Histogram) else ("",)
        found |= {name + end: tuple(metric._labelnames) for end in ends}
    return found | {rule["record"]: RECORDED_LABELS for rule in rules() if "record" in rule}


def test_the_page_is_the_one_that_the_metrics_give() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == metrics_page.page(), "run `make docs`"


def test_no_metric_has_an_id_as_label() -> None:
    labels = {label for one in metrics_page.series().values() for label in one._labelnames}
    assert not {label for label in labels if label.endswith("id") or label in ("user", "item", "person", "key")}


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_asks_for_what_there_is(query: str) -> None:
    series = known_series()
    asked = NAME.findall(query)
    assert asked or "up{" in query
    assert set(asked) <= set(series)
    allowed = {label for name in asked for label in series[name]} | {"job", "le"}
    assert set(LABEL.findall(query)) <= allowed


def test_every_metric_is_watched_somewhere() -> None:
    asked = {name for query in queries() for name in NAME.findall(query)}
    unwatched = [
        name for name in metrics_page.series() if not any(one == name or one.startswith(f"{name}_") for one in asked)
    ]
    assert unwatched == []

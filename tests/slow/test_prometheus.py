"""A real Prometheus scrapes a real service of two workers: what the rules and the dashboard ask for is answered."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import yaml

from features.drift import psi_of_counts

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
PATIENCE_SECONDS = 60
LISTS = 40
LEAST_ANSWERS = 10
"""In place of the thousand that a figure of drift needs."""
WINDOW = "1m"
"""In place of Grafana's own interval."""
SILENT = (
    "tailorbird_refused_total", "tailorbird_degraded_total", "tailorbird_served_lost_total", "tailorbird_shadow_",
    "tailorbird_swaps_total", "tailorbird_item_change_seconds",
)  # fmt: skip
"""Of what did not happen here; such a series may be absent or without a value."""


class Watched(NamedTuple):
    """A Prometheus that watches a service."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    def values(self, expression: str) -> list[float]:
        """Of each series that an expression gives now, NaN left out."""
        found = [float(one["value"][1]) for one in self.ask("query", query=expression)["result"]]
        return [one for one in found if one == one]


@pytest.fixture(scope="module")
def watched(served: Any, new_port: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: install the package of that name")
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(DEPLOY / "prometheus" / "alerts.yml", folder)
    drift = (DEPLOY / "prometheus" / "drift.yml").read_text(encoding="utf-8")
    for there, here in (("interval: 1m", "interval: 500ms"), (">= 1000", f">= {LEAST_ANSWERS}")):
        assert drift.count(there) == 1
        drift = drift.replace(there, here)
    (folder / "drift.yml").write_text(drift, encoding="utf-8")
    content = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    content["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    content["scrape_configs"][0]["static_configs"][0]["targets"] = [served.url.removeprefix("http://")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    url = f"127.0.0.1:{new_port()}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={url}"], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        watch = Watched(f"http://{url}")
        until(lambda: httpx.get(f"http://{url}/-/ready").status_code == 200)
        until(lambda: watch.values('up{job="tailorbird"}') == [1.0])
        yield watch
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def counted(watched: Watched, served: Any) -> int:
    """Answers of several kinds, given by both workers; how many lists were personal ones. Scraped since."""
    before = lists_counted(watched)
    for number in range(LISTS):
        asked = {"user_id": served.user, "k": 5, "explain": number % 4 == 0, "filter": "price > 0"}
        answer = httpx.post(f"{served.url}/v1/recommend", json=asked, timeout=30)
        assert answer.status_code == 200
    led = {
        "user_id": served.user,
        "item_id": answer.json()["items"][0]["item_id"],
        "request_id": answer.json()["request_id"],
    }
    effects = [{"event_id": f"e-{kind}", "type": kind, **led} for kind in ("impression", "view")]
    httpx.post(f"{served.url}/v1/events", json={"events": effects})
    none_passes = {"user_id": served.user, "filter": "price < 0"}
    assert httpx.post(f"{served.url}/v1/rank", json={**none_passes, "item_ids": ["i00001"]}).json()["shortfall"]
    event = {"event_id": "e-1", "user_id": served.user, "item_id": "i00001", "type": "view"}
    httpx.post(f"{served.url}/v1/events", json={"events": [event, {**event, "event_id": "e-2", "type": "hug"}]})
    httpx.post(f"{served.url}/v1/items", json={"items": [{"item_id": "i00002", "delete": True}]})
    httpx.post(f"{served.url}/v1/recommend", json={"k": 0})
    until(lambda: lists_counted(watched) - before >= LISTS)
    until(lambda: bool(watched.values(f"rate(tailorbird_request_seconds_count[{WINDOW}]) > 0")))
    return int(lists_counted(watched) - before)


def until(condition: Any, what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, f"waited in vain {what}"
        time.sleep(0.2)


def lists_counted(watched: Watched) -> float:
    return sum(watched.values('tailorbird_answers_total{route="recommend"}'))


def panels() -> list[tuple[str, str]]:
    """Title and expression of every query of the dashboard."""
    content = json.loads((DEPLOY / "grafana" / "dashboards" / "tailorbird.json").read_text(encoding="utf-8"))
    return [(panel["title"], one["expr"]) for panel in content["panels"] for one in panel.get("targets", ())]


def test_what_both_workers_counted_is_in_every_scrape_once(counted: int) -> None:
    assert counted == LISTS


@pytest.mark.usefixtures("counted")
def test_every_rule_is_evaluated_and_none_fires_for_a_service_that_is_well(watched: Watched) -> None:
    def rules() -> list[Any]:
        return [rule for group in watched.ask("rules")["groups"] for rule in group["rules"]]

    named = [rule.get("alert") or rule["record"] for rule in rules_of("drift.yml", "alerts.yml")]
    until(lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert sorted(rule["name"] for rule in rules()) == sorted(named)
    assert {rule["name"]: rule.get("lastError") for rule in rules() if rule["health"] != "ok"} == {}
    assert [rule["name"] for rule in rules() if rule.get("state") == "firing"] == []


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(("title", "expression"), panels())
def test_a_panel_has_something_to_show(watched: Watched, title: str, expression: str) -> None:
    asked = expression.replace("$__rate_interval", WINDOW)
    if any(name in expression for name in SILENT):
        watched.values(asked)
    else:
        until(lambda: bool(watched.values(asked)), title)


def rules_of(*files: str) -> list[Any]:
    texts = [(DEPLOY / "prometheus" / name).read_text(encoding="utf-8") for name in files]
    return [rule for text in texts for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest.mark.usefixtures("counted")
def test_drift_is_what_the_same_shares_give_in_python(watched: Watched, served: Any) -> None:
    """Of both workers' answers: they were to one person, which is far from what was trained on."""
    until(lambda: bool(watched.values("tailorbird:input_drift_psi")))
    before = "max by (bundle, input, bin) (tailorbird_input_reference_share)"
    kinds = (("tailorbird:input_share:1d", "after"), (before, "before"))
    sides = [f'label_replace({one}, "kind", "{kind}", "", "")' for one, kind in kinds]
    asked = " or ".join(["tailorbird:input_drift_psi", *sides])
    found = [(one["metric"], float(one["value"][1])) for one in watched.ask("query", query=asked)["result"]]
    told = {labels["input"]: value for labels, value in found if "kind" not in labels}
    shares: dict[tuple[str, str], dict[str, float]] = {}
    for labels, value in found:
        if "kind" in labels:
            shares.setdefault((labels["input"], labels["kind"]), {})[labels["bin"]] = value
    assert {"history length", "last event type", "context hour"} <= set(told)
    for name, psi in told.items():
        both = shares[name, "before"], shares[name, "after"]
        assert set(both[0]) == set(both[1]), name
        expected = psi_of_counts(*(np.array([one[place] for place in both[0]]) for one in both))
        assert psi == pytest.approx(expected, abs=1e-3), name
    assert told["context hour"] > 0.25

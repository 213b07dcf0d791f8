"""A real Prometheus scrapes a real service of two workers: what the rules and the dashboard ask for is answered."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
PATIENCE_SECONDS = 60
LISTS = 40
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
        assert httpx.post(f"{served.url}/v1/recommend", json=asked, timeout=30).status_code == 200
    none_passes = {"user_id": served.user, "filter": "price < 0"}
    assert httpx.post(f"{served.url}/v1/rank", json={**none_passes, "item_ids": ["i00001"]}).json()["shortfall"]
    event = {"event_id": "e-1", "user_id": served.user, "item_id": "i00001", "type": "view"}
    httpx.post(f"{served.url}/v1/events", json={"events": [event, {**event, "event_id": "e-2", "type": "hug"}]})
    httpx.post(f"{served.url}/v1/items", json={"items": [{"item_id": "i00002", "delete": True}]})
    httpx.post(f"{served.url}/v1/recommend", json={"k": 0})
    until(lambda: lists_counted(watched) - before >= LISTS)
    until(lambda: bool(watched.values(f"rate(tailorbird_request_seconds_count[{WINDOW}]) > 0")))
    return int(lists_counted(watched) - before)


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "waited in vain"
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

    named = [rule["alert"] for group in alerts()["groups"] for rule in group["rules"]]
    until(lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert [rule["name"] for rule in rules()] == named
    assert {rule["name"]: rule.get("lastError") for rule in rules() if rule["health"] != "ok"} == {}
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(("title", "expression"), panels())
def test_a_panel_has_something_to_show(watched: Watched, title: str, expression: str) -> None:
    found = watched.values(expression.replace("$__rate_interval", WINDOW))
    assert found or any(name in expression for name in SILENT), title


def alerts() -> Any:
    return yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))

"""What Prometheus is told of lists and events, read back from its own text format."""

from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.errors import StateError
from features.moments import SECOND
from serving.answers import Answer, Filtering, RankedItem, Shortfall
from serving.api.requests import BatchRequest, RankRequest, RecommendRequest
from serving.bulk.desk import recommend_batch
from serving.bundle import Bundle, open_bundle
from serving.desk.desk import Desk
from serving.desk.watching import watch_events, watch_list
from serving.person.explain import ExplainRequest, explain
from serving.state.protocol import State, StoredEvent


def told() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    text = prometheus_client.generate_latest().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}


def rise(before: dict[Any, float], name: str, **labels: str) -> float:
    key = (name, tuple(sorted(labels.items())))
    return told()[key] - before.get(key, 0.0)


@pytest.fixture(scope="module")
def bundle(trained: Any) -> Bundle:
    return open_bundle(trained.bundle)


def item(source: str | None) -> RankedItem:
    return RankedItem("i", 1.0, {}, () if source is None else (source,))


def test_a_list_is_counted_by_what_made_it(bundle: Bundle) -> None:
    before = told()
    answer = Answer(
        (item("nearest"), item("nearest"), item(None)),
        Shortfall(5, 3, "only three"),
        {"encode": 1.5},
        Filtering(0.5, "exact", 0),
        degraded=("ranker",),
    )
    watch_list("rank", bundle, answer, ("state",))
    assert rise(before, "tailorbird_answers_total", route="rank", bundle=bundle.name) == 1
    assert rise(before, "tailorbird_items_shown_total", source="nearest", bundle=bundle.name) == 2
    assert rise(before, "tailorbird_items_shown_total", source="none", bundle=bundle.name) == 1
    assert rise(before, "tailorbird_shortfalls_total", route="rank", bundle=bundle.name) == 1
    assert rise(before, "tailorbird_degraded_total", missing="ranker", bundle=bundle.name) == 1
    assert rise(before, "tailorbird_degraded_total", missing="state", bundle=bundle.name) == 1
    assert rise(before, "tailorbird_filter_plans_total", plan="exact") == 1
    encoding = rise(before, "tailorbird_stage_seconds_sum", stage="encode", bundle=bundle.name)
    assert encoding == pytest.approx(0.0015)
    assert told()["tailorbird_filter_cache_bytes", ()] == bundle.filterable.cache.size


def test_events_are_counted_by_outcome_and_by_how_late_they_come() -> None:
    before = told()
    now = 1_700_000_000_000
    stored = [StoredEvent("a", "i", "view", now - 40 * SECOND, "u"), StoredEvent("b", "i", "view", now + SECOND, "u")]
    watch_events(["stored", "duplicate", "rejected"], stored, now)
    assert rise(before, "tailorbird_events_total", status="rejected") == 1
    assert rise(before, "tailorbird_event_lag_seconds_count") == 2
    assert rise(before, "tailorbird_event_lag_seconds_sum") == 40
    assert rise(before, "tailorbird_event_lag_seconds_bucket", le="30.0") == 1


def test_every_kind_of_answer_without_the_store_is_counted(
    desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Any:
        raise StateError("the store did not answer")

    monkeypatch.setattr(state, "statements", gone)
    before = told()
    desk.recommend(RecommendRequest(user_id="a"), "r1")
    assert rise(before, "tailorbird_degraded_total", missing="state", bundle=desk.bundle) == 1
    desk.rank(RankRequest(user_id="a", item_ids=["i1"]), "r2")
    explain(desk, ExplainRequest(user_id="a", item_id="i1"), "r3")
    assert rise(before, "tailorbird_degraded_total", missing="state", bundle=desk.bundle) == 3
    assert len(list(recommend_batch(desk, BatchRequest(user_ids=["a", "b"]), "r4"))) == 2
    assert rise(before, "tailorbird_degraded_total", missing="state", bundle=desk.bundle) == 5

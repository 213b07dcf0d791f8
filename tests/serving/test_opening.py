"""What the environment asks for is opened, or refused before anything is served."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.errors import ConfigError
from features.person import RECENT_EVENTS
from serving.api.requests import EventsRequest
from serving.lifecycle.opening import open_worker
from serving.person.profile import ProfileRequest, profile
from serving.settings import PipelineSettings
from serving.state.item_log import ItemEdit


def test_fewer_events_than_the_models_read_are_refused(trained: Any, tmp_path: Path) -> None:
    longest = trained.config.pipeline.max_events
    path = tmp_path / "serving.yaml"
    path.write_text(yaml.safe_dump({"serving": {"newest_events": longest - 1}}))
    environment = {"TAILORBIRD_BUNDLE": str(trained.bundle), "TAILORBIRD_CONFIG": str(path)}
    with pytest.raises(ConfigError, match=rf"{longest - 1} events are fewer than the {longest} that") as caught:
        open_worker(environment)
    assert caught.value.field == "serving.newest_events"


def test_models_never_read_more_events_than_a_record_holds() -> None:
    assert PipelineSettings(max_events=RECENT_EVENTS).max_events == RECENT_EVENTS
    with pytest.raises(ConfigError, match=f"less than or equal to {RECENT_EVENTS}"):
        PipelineSettings.parse({"max_events": RECENT_EVENTS + 1}, "pipeline")


def test_two_workers_on_one_redis_know_what_either_was_told(
    trained: Any, new_redis_url: Callable[[], str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    config = tmp_path / "serving.yaml"
    config.write_text("serving: {consent: {personalize: {unknown: granted, basis: a test}}}")
    environment = {
        "TAILORBIRD_BUNDLE": str(trained.bundle),
        "TAILORBIRD_STATE": new_redis_url(),
        "TAILORBIRD_CONFIG": str(config),
    }
    workers = [open_worker(environment) for _ in range(2)]
    first, second = (worker.desk for worker in workers)
    kind = next(name for name, one in first.schema.dataset.types.items() if one.sign != "exposure")
    event = {"event_id": "e1", "user_id": "new one", "item_id": "i1", "type": kind}
    assert first.events(EventsRequest(events=[event]), "r").stored == 1
    assert second.events(EventsRequest(events=[event]), "r").duplicate == 1
    (seen,) = profile(second, ProfileRequest(user_id="new one"), "r").events
    assert seen.item_id == "i1"
    (number,) = first.item_log.change([ItemEdit("brand new", None)], 1)
    for _ in range(500):
        if all(worker.standing().item_changes == number for worker in workers):
            break
        time.sleep(0.01)
    assert [worker.standing().item_changes for worker in workers] == [number, number]
    assert "everything, at every restart" in str(workers[0].standing().may_lose)
    assert "everything, at every restart" in caplog.text
    for worker in workers:
        worker.close()

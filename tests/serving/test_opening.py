"""What the environment asks for is opened, or refused before anything is served."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from features.errors import ConfigError
from features.person import RECENT_EVENTS
from serving.lifecycle.opening import open_worker
from serving.settings import PipelineSettings


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

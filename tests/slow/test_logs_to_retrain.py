"""From what a real service served, showed and was told to the next bundle: export, retrain, and the new one is live."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from features.moments import HOUR, SECOND, to_text
from features.people import People
from serving.lifecycle.launch import launch
from serving.lifecycle.registry import read_pointer
from serving.manifest import verify_bundle
from serving.state import load_tables_into_state, open_state
from tailorbird import main
from training.retrain.retrain import Exit, retrain

pytestmark = pytest.mark.slow

LISTS, SLOTS = 300, 6
ALLOWED = {name: {"unknown": "granted", "basis": "a test"} for name in ("personalize", "train", "measure")}
SECTIONS = {
    "retrain": {"warm_epochs": 1},
    "gate": {"least_moments": 50, "min_gain_over_plain": -1.0, "max_latency_ratio": 10, "max_psi": None},
    "serving": {"consent": ALLOWED},
}


class Shop(NamedTuple):
    url: str
    state: str
    config: Path
    """As the service has it."""
    users: list[str]
    since: int
    """Moment after the newest event of the tables."""
    before: int
    """Events of the tables."""


@pytest.fixture
def shop(trained: Any, tmp_path: Path, new_port: Callable[[], int], until_ready: Callable[..., None]) -> Iterator[Shop]:
    url, state_url = f"http://127.0.0.1:{new_port()}", f"sqlite:///{tmp_path}/state.db"
    config = tmp_path / "shop.yaml"
    content = yaml.safe_load(Path(trained.config_path).read_text(encoding="utf-8")) | SECTIONS
    for part in ("users", "items"):
        table, columns = content["dataset"][part], content["dataset"][part]["columns"].values()
        for one in (table, *(column for column in columns if "path" in column)):
            one["path"] = str(Path(trained.config_path).parent / one["path"])
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    state = open_state(state_url)
    load_tables_into_state(state, trained.tables)
    newest = state.newest_event()
    assert newest is not None
    state.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
        port = int(url.rsplit(":", 1)[1])
        server: subprocess.Popen[bytes] = launch(trained.bundle, state=state_url, config=config, port=port, workers=1)
    try:
        until_ready(url, server)
        users = [one for one in People(trained.config.dataset, trained.tables).user_ids if one.startswith("u")]
        yield Shop(url, state_url, config, users, newest + HOUR, len(trained.tables.events))
    finally:
        server.terminate()
        server.wait(20)


def live(shop: Shop) -> int:
    """Lists that are asked for, shown, and of which half is acted on; how many events were stored."""
    draw, stored = np.random.default_rng(0), 0
    with httpx.Client(base_url=shop.url, timeout=30) as client:
        for number in range(LISTS):
            user, asked = str(draw.choice(shop.users)), shop.since + number * HOUR
            question = {"user_id": user, "k": SLOTS, "context": {"device": "phone", "time": to_text(asked)}}
            answer = client.post("/v1/recommend", json=question).json()
            told = []
            for slot, item in enumerate(answer["items"], start=1):
                about = {
                    "user_id": user, "item_id": item["item_id"], "request_id": answer["request_id"], "position": slot,
                }  # fmt: skip
                taken = ("view", "cart") if draw.random() < 0.9 / slot**0.5 else ()
                for delay, kind in enumerate(("impression", *taken)):
                    at = to_text(asked + (1 + 30 * slot * (delay > 0) + delay) * SECOND)
                    told.append({**about, "event_id": f"{number}.{slot}.{kind}", "type": kind, "time": at})
            stored += int(client.post("/v1/events", json={"events": told}).json()["stored"])
    return stored


def test_what_a_service_showed_trains_the_next_bundle(shop: Shop, tmp_path: Path) -> None:
    stored = live(shop)
    folder, runs, registry = tmp_path / "log", tmp_path / "runs", tmp_path / "registry"
    exporting = ["export-log", "--config", str(shop.config), "--state", shop.state, "-o", str(folder)]
    exported = CliRunner().invoke(main, exporting)
    assert exported.exit_code == 0, exported.output
    counts = [int(one) for one in re.findall(r"\d+", exported.output)[:3]]
    assert counts[0] == LISTS
    assert counts[1] + counts[2] == shop.before + stored
    sections = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    config = folder / "train.yaml"
    content = yaml.safe_load((folder / "dataset.yaml").read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump(sections | content), encoding="utf-8")
    assert stored > LISTS * (SLOTS + 2)

    outcome = retrain(config, runs, registry)
    assert outcome.exit == Exit.PROMOTED, outcome.page and outcome.page.read_text(encoding="utf-8")
    learned = json.loads((runs / "0001" / "training" / "ranker.json").read_text(encoding="utf-8"))
    assert learned["lists_shown"] > 50
    assert len(learned["slots_examined"]) == SLOTS
    verify_bundle(read_pointer(registry).live)
    assert retrain(config, runs, registry).exit == Exit.NOTHING_NEW

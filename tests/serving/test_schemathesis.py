"""Schemathesis against the service's own OpenAPI document: no fault of ours, and no answer that it does not tell of."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from features.consent import ConsentRules
from serving.access.guard import Guard
from serving.access.keys import new_key
from serving.access.scopes import SCOPES
from serving.desk.desk import Desk
from serving.state import open_item_log, open_key_store, open_state
from serving.state.audit_log import Deed

SETTINGS = Path(__file__).parents[1] / "schemathesis.toml"
MEMORY = "sqlite://:memory:"


def test_every_answer_is_as_documented(
    run_door: Callable[..., str], new_stand_in: Callable[[], Any], agreed: ConsentRules, tmp_path: Path
) -> None:
    """With a key; that there is no answer without one is one of its checks."""
    key, store = new_key(SCOPES, 0), open_key_store(MEMORY)
    store.add(key.stored, Deed("keys_create", "root", 0))
    url = run_door(
        lambda: Desk(new_stand_in(), open_state(MEMORY), open_item_log(MEMORY), consent=agreed), Guard(store)
    )
    while httpx.get(f"{url}/readyz").status_code != httpx.codes.OK:
        time.sleep(0.01)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS), "run", f"{url}/openapi.json"]
    command += ["--max-examples", "5", "--seed", "1", "--header", f"Authorization: Bearer {key.text}"]
    command += ["--phases", "fuzzing", "--exclude-path-regex", "^/(livez|metrics|schema.json)$"]  # BentoML's
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert told.returncode == 0, told.stdout

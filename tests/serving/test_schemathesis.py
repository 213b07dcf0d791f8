"""Schemathesis against the service's own OpenAPI document: no fault of ours, and no answer that it does not tell of."""

import subprocess
import sys
from pathlib import Path

import httpx

SETTINGS = Path(__file__).parents[1] / "schemathesis.toml"


def test_every_answer_is_as_documented(client: httpx.Client, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS), "run"]
    command += [f"{str(client.base_url).rstrip('/')}/openapi.json", "--max-examples", "5", "--seed", "1"]
    command += ["--phases", "fuzzing", "--exclude-path-regex", "^/(livez|metrics|schema.json)$"]  # BentoML's
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert told.returncode == 0, told.stdout

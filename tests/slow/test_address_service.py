"""A real service of two workers that follows a registry at an address, which changes, goes away and comes back."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from serving.lifecycle.launch import launch
from serving.manifest import MANIFEST, read_manifest, renew_manifest

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60
ASKED = 20
"""Connections, spread over both workers."""
ROOT = Path(__file__).parents[2]


class Machine:
    """One that serves from an address, and whoever publishes there."""

    def __init__(self, folder: Path, trained: Path, port: int) -> None:
        self.folder = folder
        self.address = folder / "address"
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.bundles = {name: self._copy(trained, name) for name in ("first", "second")}
        self.config = folder / "serving.yaml"
        cache = {"folder": str(folder / "cache"), "poll_seconds": 0.2}
        self.config.write_text(yaml.safe_dump({"serving": {"workers": 2, "cache": cache}}))

    def _copy(self, trained: Path, name: str) -> Path:
        copy = Path(shutil.copytree(trained, self.folder / name))
        manifest = copy / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "note": name}))
        renew_manifest(copy)
        return copy

    def command(self, *words: str | Path) -> None:
        state = f"sqlite:///{self.folder}/state.db"
        command = [sys.executable, "-m", "tailorbird", *map(str, words), "--registry", f"file://{self.address}"]
        environment = {**os.environ, "TAILORBIRD_CACHE": str(self.folder / "publisher"), "TAILORBIRD_STATE": state}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def running(self, until_ready: Callable[..., None]) -> Iterator[None]:
        state = f"sqlite:///{self.folder}/state.db"
        server = launch(registry=f"file://{self.address}", state=state, config=self.config, port=self.port)
        try:
            until_ready(self.url, server)
            yield
        finally:
            server.terminate()
            assert server.wait(20) == 0

    def standing(self) -> list[dict[str, Any]]:
        """What each of many connections is told."""
        return [httpx.get(f"{self.url}/readyz", timeout=30).json() for _ in range(ASKED)]

    def answers_with(self, name: str) -> bool:
        """Whether every worker answers with that bundle."""
        expected = read_manifest(self.bundles[name])["fingerprint"][:12]
        return {one.get("bundle") for one in self.standing()} == {expected}

    def troubled(self) -> bool:
        return any(one.get("registry") for one in self.standing())

    def lists(self) -> int:
        return len(httpx.post(f"{self.url}/v1/recommend", json={}, timeout=30).json()["items"])


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_a_service_follows_an_address_and_outlives_it(
    trained: Any, port: int, until_ready: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    machine = Machine(tmp_path, trained.bundle, port)
    machine.command("promote", machine.bundles["first"])
    with machine.running(until_ready):
        until(lambda: machine.answers_with("first"))
        machine.command("promote", machine.bundles["second"])
        until(lambda: machine.answers_with("second"))
        away = machine.address.rename(tmp_path / "away")
        until(machine.troubled)
        assert machine.lists() == 20
        away.rename(machine.address)
        machine.command("rollback")
        until(lambda: machine.answers_with("first"))
        until(lambda: not machine.troubled())
    machine.address.rename(tmp_path / "away")
    with machine.running(until_ready):
        until(lambda: machine.answers_with("first"))  # what was fetched before
        until(machine.troubled)
        assert machine.lists() == 20

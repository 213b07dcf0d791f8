"""The real service: BentoML in processes of its own, on a free port, with a trained bundle and a loaded state."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from serving.lifecycle.launch import launch
from serving.state import load_tables_into_state, open_state

START_SECONDS = 90


class Served(NamedTuple):
    """A service that is ready, and somebody whom its state knows well."""

    url: str
    user: str
    state: str
    """URL of its store."""


@pytest.fixture(scope="session")
def new_port() -> Callable[[], int]:
    """Gives a port that nobody listens on."""
    return _free


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    """A port that nobody listens on, the same for a whole module."""
    return _free()


@pytest.fixture(scope="session")
def until_ready() -> Callable[[str, "subprocess.Popen[Any]"], None]:
    """Waits until a server is ready; fails when it ends, or takes too long."""
    return _wait


def _wait(url: str, server: "subprocess.Popen[Any]") -> None:
    deadline = time.monotonic() + START_SECONDS
    answer = "nothing"
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            response = httpx.get(f"{url}/readyz", timeout=5)
            if response.status_code == 200:
                return
            answer = response.text
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"{url} is not ready after {START_SECONDS} s; it said {answer}")


@pytest.fixture(scope="module")
def served(trained: Any, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers over one state."""
    folder: Path = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder}/state.db"
    config = folder / "serving.yaml"
    config.write_text("serving: {consent: {personalize: {unknown: granted, basis: a test}}}")
    state = open_state(url)
    load_tables_into_state(state, trained.tables)
    user = max(state.user_ids(), key=lambda one: len(state.person(one).events))
    state.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "BENTOML_HOME", str(folder / "bentoml"))
        server = launch(trained.bundle, state=url, config=config, port=port, workers=2)
    try:
        _wait(f"http://127.0.0.1:{port}", server)
        yield Served(f"http://127.0.0.1:{port}", user, url)
    finally:
        server.terminate()
        assert server.wait(20) == 0

"""Addresses of each kind, and machines that share one."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from serving.manifest import seal
from tests.serving.remote.machines import Machines

DATASET = {
    "order": {"sequence": "position"},
    "events": {"path": "events.csv"},
    "types": {"view": {"weight": 1, "sign": "positive", "repeat": "never"}},
}
CLIENT = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}
START_SECONDS = 90


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """A server that speaks S3, one for all tests of a process: the environment in which clients find it."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: the extra `s3`")
    pytest.importorskip("moto", reason="moto is not installed: the extra `dev`")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + START_SECONDS
    while not listening(port):
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield {f"AWS_{name}": value for name, value in CLIENT.items()} | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    server.terminate()
    server.wait(10)


def listening(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new address of each kind."""
    if request.param == "s3":
        for name, value in request.getfixturevalue("s3_environment").items():
            monkeypatch.setenv(name, value)
        import s3fs

        bucket = f"bundles-{uuid4().hex}"
        s3fs.S3FileSystem().mkdir(bucket)
        return f"s3://{bucket}/shop/models"
    return f"memory://{uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/address"


@pytest.fixture
def new_bundle(tmp_path: Path) -> Callable[[str], Path]:
    """Seals folders that verify as bundles do; nothing in them is ever opened."""

    def made(name: str) -> Path:
        staging = tmp_path / f".{name}.staging"
        (staging / "tables").mkdir(parents=True)
        (staging / "tables" / "vectors.npy").write_bytes(name.encode() * 1000)
        (staging / "schema.json").write_text(json.dumps({"dataset": DATASET}), encoding="utf-8")
        return seal(staging, tmp_path / name, {"schema": name})

    return made


@pytest.fixture
def machines(url: str, tmp_path: Path) -> Machines:
    return Machines(url, tmp_path)


@pytest.fixture
def nobody() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://name:secret@127.0.0.1:{one.getsockname()[1]}/models"

"""A Bento alone: exported, unpacked, installed from the lock file into a clean environment, and asked.

Installed and started by an ordinary user, who can change neither the Bento nor, once it is installed, its environment.
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from features.errors import BundleError
from serving.lifecycle import bento
from tests.slow.ordinary_user import NOBODY, Place, readable_place

pytestmark = pytest.mark.slow


def run(*command: str | Path, **how: Any) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **how)
    assert result.returncode == 0, result.stderr[-2000:]
    return str(result.stdout).strip()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with readable_place() as made:
        yield made


@pytest.fixture(scope="module")
def unpacked(trained: Any, place: Place) -> Path:
    """What `bentoml export` gives, unpacked: the context from which an image is built."""
    folder = place.folder
    tag = bento.build_bento(trained.bundle)
    run(sys.executable, "-m", "bentoml", "export", tag, folder / "bento.tar.gz", cwd=folder)
    with tarfile.open(folder / "bento.tar.gz") as archive:
        archive.extractall(folder / "bento", filter="data")
    return folder / "bento"


@pytest.fixture(scope="module")
def clean_python(unpacked: Path, place: Place) -> Path:
    """An interpreter that has what the Bento's own lock file names, and nothing of this checkout."""
    venv, lock = place.own("venv"), unpacked / "src" / "requirements" / "serving.txt"

    def done(*command: str | Path) -> None:
        run(*place.command(*command, writable=(venv, place.home)), cwd="/", env=place.environment())

    done(Path(sys.executable).resolve(), "-m", "venv", venv)
    done(venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "-r", lock)
    return venv / "bin" / "python"


def test_only_what_answers_goes_into_a_bento(unpacked: Path) -> None:
    source = unpacked / "src"
    assert {"features", "serving", "bundle", "requirements"} <= {path.name for path in source.iterdir()}
    assert not {"training", "models", "tests"} & {path.name for path in source.iterdir()}
    assert (source / "serving" / "http" / "page.html").is_file()
    pinned = (unpacked / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert not [line for line in pinned if line.startswith(("torch", "pytorch", "onnx=="))]


def test_a_bento_for_a_gpu_has_the_lock_for_it_and_answers_there(trained: Any) -> None:
    tag = bento.build_bento(trained.bundle, "cuda")
    built = Path(run(sys.executable, "-m", "bentoml", "get", "--output", "path", tag))
    pinned = (built / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in pinned if line.startswith("onnxruntime")] == ["onnxruntime-gpu"]
    assert {"name": "TAILORBIRD_DEVICE", "value": "cuda"}.items() <= yaml.safe_load((built / "bento.yaml").read_text())[
        "envs"
    ][0].items()


def test_the_clean_environment_has_no_torch(clean_python: Path, place: Place) -> None:
    code = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('serving'))"
    assert asked(place, clean_python, "-I", "-c", code) == "None None"


def asked(place: Place, *command: str | Path) -> str:
    """What a command of the ordinary user prints."""
    return run(*place.command(*command, writable=(place.home,)), cwd="/", env=place.environment())


def test_an_ordinary_user_starts_it_wherever_and_it_answers_from_its_own_files(
    unpacked: Path,
    clean_python: Path,
    place: Place,
    port: int,
    until_ready: Callable[[str, "subprocess.Popen[Any]"], None],
) -> None:
    """Nothing but its home can be written to."""
    environment = {**place.environment(), "TAILORBIRD_STATE": f"sqlite:///{place.home}/state.db"}
    start = (clean_python, "-m", "bentoml", "serve", unpacked, "--host", "127.0.0.1", "--port", str(port))
    server = subprocess.Popen(place.command(*start, writable=(place.home,)), cwd="/", env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until_ready(url, server)
        body = httpx.post(f"{url}/v1/recommend", json={"user_id": "nobody"}, timeout=30).json()
        assert len(body["items"]) == 20
        workers = children(server.pid)
        assert workers
        assert not [pid for pid in workers if "libtorch" in Path(f"/proc/{pid}/maps").read_text()]
        for pid in (server.pid, *workers):
            assert_nobody_in_particular(pid)
    finally:
        server.terminate()
        server.wait(20)


def assert_nobody_in_particular(pid: int) -> None:
    """A process of an ordinary user without any privilege; where tests are root's, also on a read-only root."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert int(status["CapEff"], 16) == 0
    if os.getuid():
        return
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(NOBODY)}
    assert status["NoNewPrivs"] == "1"
    mounts = [line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    (root,) = [one for one in mounts if one[1] == "/"]
    assert "ro" in root[3].split(",")


def children(parent: int) -> list[int]:
    """A server's child processes."""
    return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_worker_loads_our_packages_from_the_bento(unpacked: Path, clean_python: Path, place: Place) -> None:
    """The very call with which BentoML's worker loads a service, from the root folder."""
    code = (
        "import sys; from _bentoml_impl.loader import load; load(sys.argv[1], standalone_load=True);"
        "import serving, features; print(serving.__file__, features.__file__, 'torch' in sys.modules)"
    )
    serving, features, torch = asked(place, clean_python, "-I", "-c", code, unpacked).split()[-3:]
    assert Path(serving).is_relative_to(unpacked / "src")
    assert Path(features).is_relative_to(unpacked / "src")
    assert torch == "False"


def test_a_damaged_bundle_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        bento.build_bento(tmp_path)


def test_a_build_that_fails_is_told(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**bento.description_of("cpu"), "service": "serving.service:Nobody"}
    monkeypatch.setattr(bento, "description_of", lambda device: wrong)
    with pytest.raises(BundleError, match="bentoml build failed"):
        bento.build_bento(trained.bundle)

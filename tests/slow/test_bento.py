"""A Bento alone: exported, unpacked, installed from the lock file into a clean environment, and asked."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from features.errors import BundleError
from serving.lifecycle import bento

pytestmark = pytest.mark.slow


def run(*command: str | Path, **how: Any) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **how)
    assert result.returncode == 0, result.stderr[-2000:]
    return str(result.stdout).strip()


@pytest.fixture(scope="module")
def unpacked(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `bentoml export` gives, unpacked: the context from which an image is built."""
    folder = tmp_path_factory.mktemp("bento")
    tag = bento.build_bento(trained.bundle)
    run(sys.executable, "-m", "bentoml", "export", tag, folder / "bento.tar.gz", cwd=folder)
    with tarfile.open(folder / "bento.tar.gz") as archive:
        archive.extractall(folder / "bento", filter="data")
    return folder / "bento"


@pytest.fixture(scope="module")
def clean_python(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has what the Bento's own lock file names, and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "-r",
        unpacked / "src" / "requirements" / "serving.txt",
    )
    return python


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


def test_the_clean_environment_has_no_torch(clean_python: Path) -> None:
    code = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('serving'))"
    assert run(clean_python, "-I", "-c", code, cwd="/") == "None None"


def test_it_answers_from_its_own_files_wherever_it_is_started(
    unpacked: Path,
    clean_python: Path,
    port: int,
    tmp_path: Path,
    until_ready: Callable[[str, "subprocess.Popen[Any]"], None],
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "TAILORBIRD_STATE": f"sqlite:///{tmp_path}/state.db",
    }
    command = [clean_python, "-m", "bentoml", "serve", unpacked, "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([str(part) for part in command], cwd="/", env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        until_ready(url, server)
        body = httpx.post(f"{url}/v1/recommend", json={"user_id": "nobody"}, timeout=30).json()
        assert len(body["items"]) == 20
        workers = worker_maps(server.pid)
        assert workers
        assert not [maps for maps in workers if "libtorch" in maps]
    finally:
        server.terminate()
        server.wait(20)


def worker_maps(parent: int) -> list[str]:
    """The memory maps of a server's child processes."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [Path(f"/proc/{child}/maps").read_text() for child in children]


def test_a_worker_loads_our_packages_from_the_bento(unpacked: Path, clean_python: Path) -> None:
    """The very call with which BentoML's worker loads a service, from the root folder."""
    code = (
        "import sys; from _bentoml_impl.loader import load; load(sys.argv[1], standalone_load=True);"
        "import serving, features; print(serving.__file__, features.__file__, 'torch' in sys.modules)"
    )
    serving, features, torch = run(clean_python, "-I", "-c", code, unpacked, cwd="/").split()[-3:]
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

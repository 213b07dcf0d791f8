"""The lock files install anywhere, the same everywhere, and bring no package that hides one of ours."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*")
OURS = ("features", "models", "serving", "tailorbird", "training")


def pins(lock: Path) -> list[str]:
    return lock.read_text(encoding="utf-8").splitlines()


def test_there_is_a_lock_for_serving_with_and_without_a_gpu_and_one_for_everything() -> None:
    assert {lock.stem for lock in LOCKS} == {"dev", "serving", "serving-gpu"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_is_a_name_and_a_version(lock: Path) -> None:
    """So no index, option, path, hash or `+local` build, which would exist on one machine only."""
    assert [line for line in pins(lock) if not PINNED.fullmatch(line)] == []
    assert len(pins(lock)) > 20


def test_development_runs_the_versions_that_serve() -> None:
    serving, dev = (set(pins(ROOT / "requirements" / name)) for name in ("serving.txt", "dev.txt"))
    assert serving <= dev


def test_on_a_gpu_the_same_versions_serve_but_for_onnx_runtime_and_the_libraries_of_cuda() -> None:
    """Two packages bring a module `onnxruntime`: installed together, one overwrites parts of the other."""
    cpu, gpu = (set(pins(ROOT / "requirements" / name)) for name in ("serving.txt", "serving-gpu.txt"))
    (left_out,) = cpu - gpu
    version = left_out.removeprefix("onnxruntime==")
    added = {line for line in gpu - cpu if not line.startswith("nvidia-")}
    assert added == {f"onnxruntime-gpu=={version}"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_onnx_runtime_is_there_once(lock: Path) -> None:
    assert len([line for line in pins(lock) if line.startswith("onnxruntime")]) == 1


def test_pyproject_names_onnx_runtime_in_its_own_extras_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sets = {"": project["dependencies"], **project["optional-dependencies"]}
    assert {name for name, needs in sets.items() if any(one.startswith("onnxruntime") for one in needs)} == {
        "cpu",
        "gpu",
    }


@pytest.mark.parametrize("name", ["serving", "serving-gpu"])
def test_serving_needs_no_torch(name: str) -> None:
    names = {line.partition("==")[0] for line in pins(ROOT / "requirements" / f"{name}.txt")}
    assert not names & {"torch", "pytorch-lightning", "onnx", "onnxscript", "matplotlib"}


def test_no_installed_package_brings_a_name_of_ours() -> None:
    owners = packages_distributions()
    strangers = {name: set(owners.get(name, [])) - {"tailorbird"} for name in OURS}
    assert strangers == {name: set() for name in OURS}

"""Who may import whom, where import-linter cannot see it: at run time, by file name, in `tailorbird.py`."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("features", "models", "serving", "training")

LOAD_AND_TELL = """
import importlib, json, pkgutil, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(found.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(*names: str) -> set[str]:
    """Top-level names in memory after a fresh interpreter imported every module under `names`."""
    command = [sys.executable, "-c", LOAD_AND_TELL, *names]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def imported_names(source: Path, *, top_level_only: bool = False) -> set[str]:
    """First parts of the names that a file imports, anywhere or only outside functions."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = set[str]()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("serving", {"torch", "pytorch_lightning", "lightning", "onnx", "onnxscript", "models", "training"}),
        ("features", {"torch", "pytorch_lightning", "faiss", "bentoml", "onnx", "onnxruntime"}),
        ("models", {"pytorch_lightning", "lightning", "faiss", "bentoml", "onnxruntime"}),
    ],
)
def test_a_package_loads_nothing_that_it_must_not_know(package: str, forbidden: set[str]) -> None:
    assert not loaded_by(package) & forbidden


def test_fitting_the_towers_needs_neither_faiss_nor_bentoml() -> None:
    """So that it runs on a bare GPU machine."""
    assert not loaded_by("training.towers") & {"faiss", "bentoml"}


def test_only_the_service_files_import_bentoml() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    importers = {str(path.relative_to(ROOT)) for path in files if "bentoml" in imported_names(path)}
    allowed = {path for path in importers if path == "serving/service.py" or path.startswith("serving/service_")}
    assert importers == allowed


def test_the_command_imports_each_side_only_when_needed() -> None:
    names = imported_names(ROOT / "tailorbird.py", top_level_only=True)
    assert names <= {*sys.stdlib_module_names, "click"}


def test_the_command_starts_without_numpy_or_torch() -> None:
    assert not loaded_by("tailorbird") & {"numpy", "torch", "bentoml", "faiss", *PACKAGES}


def test_test_folders_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))

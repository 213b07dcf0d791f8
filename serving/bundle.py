"""A bundle: one directory that holds a trained model whole, so that its parts cannot come apart.

Written atomically: everything is laid in a staging directory, every file is hashed into `manifest.json`, and the
directory is renamed into place. Opening verifies every hash before any file is parsed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import BundleError
from features.schema import Schema
from serving.calibration import Calibration
from serving.catalogue import Catalogue
from serving.graph import Graph
from serving.index import ItemIndex
from serving.settings import PipelineSettings
from serving.statistics import Statistics
from serving.transitions import Transitions

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; read-only."""

    path: Path
    manifest: dict[str, Any]
    schema: Schema
    settings: PipelineSettings
    catalogue: Catalogue
    statistics: Statistics
    transitions: Transitions
    index: ItemIndex
    user_tower: Graph
    item_tower: Graph
    ranker: Graph | None
    """None only while training has not reached the ranker yet."""
    calibration: Calibration

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the hashes of all files."""
        return str(self.manifest["fingerprint"])

    @property
    def name(self) -> str:
        """The short form of the fingerprint that stands in answers, logs and metrics."""
        return self.fingerprint[:12]


def seal_bundle(staging: Path, target: Path, provenance: dict[str, Any]) -> Path:
    """Hash every file of `staging`, write the manifest, and rename the whole into `target`.

    Raises BundleError when `target` exists: a bundle never changes.
    """
    if target.exists():
        raise BundleError(f"{target} exists, and a bundle never changes", hint="Write to a new directory.")
    hashes = {str(path.relative_to(staging)): _sha256(path) for path in _files(staging)}
    schema = Schema.from_json(_read_json(staging / "schema.json"))
    manifest = {
        "format": FORMAT,
        "fingerprint": _fingerprint(hashes),
        "schema": schema.fingerprint,
        **provenance,
        "files": hashes,
    }
    (staging / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
    for path in _files(staging):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    staging.rename(target)
    return target


def open_bundle(path: Path) -> Bundle:
    """Verify and open a bundle. Raises BundleError naming the file that is missing or differs."""
    bundle = assemble(path, verify_bundle(path))
    if bundle.schema.fingerprint != bundle.manifest["schema"]:
        raise BundleError(f"{path} was made for another schema than the one it holds")
    return bundle


def assemble(path: Path, manifest: dict[str, Any]) -> Bundle:
    """Open the parts that lie in a directory, without asking whether they are right: for training's staging."""
    schema = Schema.from_json(_read_json(path / "schema.json"))
    ranker = path / "ranker.onnx"
    return Bundle(
        path=path,
        manifest=manifest,
        schema=schema,
        settings=PipelineSettings.parse(_read_json(path / "settings.json")),
        catalogue=Catalogue.load(path / "catalogue"),
        statistics=Statistics.load(path / "statistics"),
        transitions=Transitions.load(path / "transitions"),
        index=ItemIndex.load(path / "index.faiss"),
        user_tower=Graph(path / "user_tower.onnx"),
        item_tower=Graph(path / "item_tower.onnx"),
        ranker=Graph(ranker) if ranker.exists() else None,
        calibration=Calibration.parse(_read_json(path / "calibration.json")),
    )


def verify_bundle(path: Path) -> dict[str, Any]:
    """The manifest of a bundle whose files are all there and unchanged. Raises BundleError otherwise."""
    if not (path / MANIFEST).is_file():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}", hint="Give the path that `train` printed.")
    manifest = _read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path / MANIFEST} has another format than {FORMAT}; train the bundle again")
    expected = manifest["files"]
    present = {str(one.relative_to(path)) for one in _files(path)} - {MANIFEST}
    for name in sorted(expected.keys() ^ present):
        raise BundleError(f"{name} {'is missing' if name in expected else 'does not belong there'}: {path}")
    for name, sha256 in expected.items():
        if _sha256(path / name) != sha256:
            raise BundleError(
                f"{name} differs from what was trained: {path}", hint="Copy the bundle again, or promote another."
            )
    if manifest["fingerprint"] != _fingerprint(expected):
        raise BundleError(f"the fingerprint in {MANIFEST} does not fit its files: {path}")
    return manifest


def renew_manifest(path: Path) -> None:
    """Hash the files of a bundle again after its copy was changed on purpose, as tests of refusal do."""
    manifest = _read_json(path / MANIFEST)
    manifest["files"] = {str(one.relative_to(path)): _sha256(one) for one in _files(path) if one.name != MANIFEST}
    manifest["fingerprint"] = _fingerprint(manifest["files"])
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")


def fresh_staging(target: Path) -> Path:
    """An empty directory beside `target` in which to lay a bundle."""
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path.name} is missing: {path.parent}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise BundleError(f"{path.name} is not valid JSON: {path.parent}") from None

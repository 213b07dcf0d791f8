"""A bundle: one directory that holds a trained model whole, so that its parts cannot come apart.

Written atomically: everything is laid in a staging directory, every file is hashed into `manifest.json`, the
manifest is hashed into its own fingerprint, and the directory is renamed into place. Opening verifies the
fingerprint and every hash before any other file is parsed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from features.dataset import DatasetConfig
from features.errors import BundleError
from features.moments import DAY
from features.schema import Schema
from features.vocabulary import Vocabulary
from serving.catalogue import Catalogue
from serving.filters.filterable import FilterableItems
from serving.graph import Graph
from serving.items.changed_tables import changed_catalogue, changed_statistics
from serving.items.delta import Delta
from serving.items.upserts import Tables
from serving.ranking.calibration import Calibration
from serving.retrieval.device import Device
from serving.retrieval.device_search import search_on
from serving.retrieval.index import ItemIndex
from serving.retrieval.newcomers import Newcomers
from serving.retrieval.statistics import Statistics
from serving.retrieval.transitions import Transitions
from serving.settings import PipelineSettings

FORMAT = 5
"""2: the fingerprint covers the whole manifest, not the hashes of the files alone. 3: item ids, titles and orders are
mapped files. 4: beside the index stands how many cells are searched for how many items. 5: the evidence of transitions
is float16."""
MANIFEST = "manifest.json"
HASHED_AT_ONCE = 4 * 2**20
"""Bytes between two moments at which hashing needs the interpreter's lock, for which requests would wait."""
_REQUIRED = ("fingerprint", "schema", "files")


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; read-only."""

    path: Path
    manifest: dict[str, Any]
    schema: Schema
    settings: PipelineSettings
    catalogue: Catalogue
    filterable: FilterableItems
    statistics: Statistics
    transitions: Transitions
    index: ItemIndex
    user_tower: Graph
    item_tower: Graph
    ranker: Graph | None
    """None only while training has not reached the ranker yet."""
    calibration: Calibration
    device: Device = "cpu"
    """Where user tower, ranker and search run. The item tower runs on the processor, as it did when the table was made:
    an item is placed as it would have been placed there."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the manifest, which holds the hashes of all files."""
        return str(self.manifest["fingerprint"])

    @property
    def name(self) -> str:
        """The short form of the fingerprint that stands in answers, logs and metrics."""
        return self.fingerprint[:12]

    @property
    def tables(self) -> Tables:
        """What a change of items is worked out with; only of a bundle as it was opened."""
        return Tables(self.schema, self.catalogue, self.statistics, self.item_tower)

    @cached_property
    def newcomers(self) -> Newcomers:
        """The new items of a request at the present."""
        return Newcomers.since_moment(self.statistics, self.catalogue, self.new_since(self.statistics.newest))

    def new_since(self, moment: int) -> float:
        """From which moment on an item is new at another.

        Counted back from the newest known event, so that an old service still has new items.
        """
        return min(moment, self.statistics.newest) - self.settings.new_days * DAY

    def with_items(self, delta: Delta) -> "Bundle":
        """This bundle as it was opened, with a delta of its items above it; the models are the same."""
        catalogue = changed_catalogue(self.catalogue, delta)
        return replace(
            self,
            schema=replace(self.schema, items=self.schema.items.extended(delta.new_ids)),
            catalogue=catalogue,
            statistics=changed_statistics(self.statistics, delta),
            index=self.index.with_changes(catalogue.vectors, delta.rows),
            filterable=self.filterable.with_changes(self.schema.dataset, delta),
        )


def seal_bundle(staging: Path, target: Path, provenance: dict[str, Any]) -> Path:
    """Hash every file of `staging`, write the manifest, and rename the whole into `target`.

    Raises BundleError when `target` exists: a bundle never changes.
    """
    return seal(staging, target, {**provenance, "schema": _read_schema(staging).fingerprint})


def seal(staging: Path, target: Path, manifest: dict[str, Any]) -> Path:
    """The same for any directory of files that `verify_bundle` shall vouch for; `manifest` names their schema."""
    if target.exists():
        raise BundleError(f"{target} exists, and a bundle never changes", hint="Write to a new directory.")
    _write_manifest(staging, {**manifest, "format": FORMAT})
    for path in _files(staging):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    staging.rename(target)
    return target


def open_bundle(path: Path, device: Device = "cpu") -> Bundle:
    """Verify and open a bundle. Raises BundleError naming the file that is missing or differs.

    Raises ConfigError when the device cannot be had.
    """
    return _of_one_schema(assemble(path, verify_bundle(path), device))


def open_verified(path: Path, fingerprint: str, device: Device = "cpu") -> Bundle:
    """Open a bundle whose files another process has just verified, unless it is another by now.

    Raises BundleError when it is, and ConfigError when the device cannot be had.
    """
    manifest = read_manifest(path)
    if manifest["fingerprint"] != fingerprint:
        raise BundleError(f"{path} was replaced while it was opened", hint="It is opened again at the next look.")
    return _of_one_schema(assemble(path, manifest, device))


def _of_one_schema(bundle: Bundle) -> Bundle:
    if bundle.schema.fingerprint != bundle.manifest["schema"]:
        raise BundleError(f"{bundle.path} was made for another schema than the one it holds")
    return bundle


def assemble(path: Path, manifest: dict[str, Any], device: Device = "cpu") -> Bundle:
    """Open the parts that lie in a directory, without asking whether they are right: for training's staging."""
    ranker = path / "ranker.onnx"
    catalogue = Catalogue.load(path / "catalogue")
    return Bundle(
        path=path,
        manifest=manifest,
        schema=_read_schema(path),
        settings=PipelineSettings.parse(_read_json(path / "settings.json")),
        catalogue=catalogue,
        filterable=FilterableItems.load(path / "attributes", str(manifest.get("fingerprint", path)), catalogue),
        statistics=Statistics.load(path / "statistics"),
        transitions=Transitions.load(path / "transitions"),
        index=ItemIndex.load(path / "index.faiss", catalogue.vectors, search_on(device, path, catalogue.vectors)),
        user_tower=Graph(path / "user_tower.onnx", device),
        item_tower=Graph(path / "item_tower.onnx"),
        ranker=Graph(ranker, device) if ranker.exists() else None,
        calibration=Calibration.parse(_read_json(path / "calibration.json")),
        device=device,
    )


def save_schema(schema: Schema, directory: Path) -> None:
    """Write a schema where a bundle has it: plain data, and the item ids beside the other tables of items."""
    content = json.dumps(schema.to_json(), ensure_ascii=False, indent=1)
    (directory / "schema.json").write_text(content, encoding="utf-8")
    schema.items.save(directory / "catalogue" / "ids")


def _read_schema(directory: Path) -> Schema:
    content = _read_json(directory / "schema.json")
    return Schema.from_json(content, Vocabulary.load(directory / "catalogue" / "ids"))


def dataset_of(path: Path) -> DatasetConfig:
    """What a bundle reads, without opening the rest. Raises BundleError when its schema is not there."""
    return DatasetConfig.parse(_read_json(path / "schema.json")["dataset"])


def verify_bundle(path: Path) -> dict[str, Any]:
    """The manifest of a bundle whose files are all there and unchanged. Raises BundleError otherwise."""
    manifest = read_manifest(path)
    expected = manifest["files"]
    present = {str(one.relative_to(path)) for one in _files(path)} - {MANIFEST}
    for name in sorted(expected.keys() ^ present):
        raise BundleError(f"{name} {'is missing' if name in expected else 'does not belong there'}: {path}")
    for name, sha256 in expected.items():
        if _sha256(path / name) != sha256:
            raise BundleError(
                f"{name} differs from what was trained: {path}", hint="Copy the bundle again, or promote another."
            )
    return manifest


def renew_manifest(path: Path) -> None:
    """Hash the files of a bundle again after its copy was changed on purpose, as tests of refusal do."""
    _write_manifest(path, _read_json(path / MANIFEST))


def fresh_staging(target: Path) -> Path:
    """An empty directory beside `target` in which to lay a bundle."""
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    digest, part = hashlib.sha256(), bytearray(HASHED_AT_ONCE)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(part):
            digest.update(memoryview(part)[:size])
    return digest.hexdigest()


def _write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    files = [path for path in _files(directory) if path != directory / MANIFEST]
    manifest = {**manifest, "files": {str(path.relative_to(directory)): _sha256(path) for path in files}}
    manifest["fingerprint"] = _fingerprint(manifest)
    (directory / MANIFEST).write_bytes(_encoded(manifest))


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, byte by byte as it was written. Raises BundleError otherwise; the files are not looked at."""
    if not (path / MANIFEST).is_file():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}", hint="Give the path that `train` printed.")
    manifest = _read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path / MANIFEST} has another format than {FORMAT}; train the bundle again")
    for name in _REQUIRED:
        if name not in manifest:
            raise BundleError(f"{MANIFEST} has no {name!r}: {path}", hint="Copy the bundle again.")
    whole = (path / MANIFEST).read_bytes() == _encoded(manifest)
    if not whole or manifest["fingerprint"] != _fingerprint(manifest):
        raise BundleError(
            f"{MANIFEST} differs from what was trained: {path}", hint="Copy the bundle again, or promote another."
        )
    return manifest


def _fingerprint(manifest: dict[str, Any]) -> str:
    """SHA-256 over everything in a manifest but the fingerprint itself."""
    rest = {name: value for name, value in manifest.items() if name != "fingerprint"}
    return hashlib.sha256(_encoded(rest)).hexdigest()


def _encoded(manifest: dict[str, Any]) -> bytes:
    """The one way in which a manifest is written, so that no two texts of it mean the same."""
    return json.dumps(manifest, indent=2, sort_keys=True).encode()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path.name} is missing: {path.parent}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise BundleError(f"{path.name} is not valid JSON: {path.parent}") from None

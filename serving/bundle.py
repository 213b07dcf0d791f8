"""A bundle: one directory that holds a trained model whole, so that its parts cannot come apart.

Written atomically: everything is laid in a staging directory, every file is hashed into `manifest.json`, the
manifest is hashed into its own fingerprint, and the directory is renamed into place. Opening verifies the
fingerprint and every hash before any other file is parsed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from features.errors import BundleError
from features.inputs import InputReference
from features.moments import DAY
from features.schema import Schema
from features.vocabulary import Vocabulary
from serving.catalogue import Catalogue
from serving.filters.filterable import FilterableItems
from serving.graph import Graph
from serving.items.changed_tables import changed_catalogue, changed_statistics
from serving.items.delta import Delta
from serving.items.upserts import Tables
from serving.manifest import read_json, read_manifest, seal, verify_bundle
from serving.ranking.calibration import Calibration
from serving.retrieval.device import Device
from serving.retrieval.device_search import search_on
from serving.retrieval.index import ItemIndex
from serving.retrieval.newcomers import Newcomers
from serving.retrieval.statistics import Statistics
from serving.retrieval.transitions import Transitions
from serving.settings import PipelineSettings

INPUTS = "inputs.json"


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
    inputs: Mapping[str, InputReference] = field(default_factory=dict)
    """How often each input had which code in training; none in a bundle from before that was kept."""

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
        settings=PipelineSettings.parse(read_json(path / "settings.json")),
        catalogue=catalogue,
        filterable=FilterableItems.load(path / "attributes", str(manifest.get("fingerprint", path)), catalogue),
        statistics=Statistics.load(path / "statistics"),
        transitions=Transitions.load(path / "transitions"),
        index=ItemIndex.load(path / "index.faiss", catalogue.vectors, search_on(device, path, catalogue.vectors)),
        user_tower=Graph(path / "user_tower.onnx", device),
        item_tower=Graph(path / "item_tower.onnx"),
        ranker=Graph(ranker, device) if ranker.exists() else None,
        calibration=Calibration.parse(read_json(path / "calibration.json")),
        device=device,
        inputs=_read_inputs(path),
    )


def save_schema(schema: Schema, directory: Path) -> None:
    """Write a schema where a bundle has it: plain data, and the item ids beside the other tables of items."""
    content = json.dumps(schema.to_json(), ensure_ascii=False, indent=1)
    (directory / "schema.json").write_text(content, encoding="utf-8")
    schema.items.save(directory / "catalogue" / "ids")


def save_inputs(inputs: Mapping[str, InputReference], directory: Path) -> None:
    """Write what the inputs were in training: counts alone."""
    content = {name: one.to_json() for name, one in inputs.items()}
    (directory / INPUTS).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _read_inputs(directory: Path) -> dict[str, InputReference]:
    if not (directory / INPUTS).exists():
        return {}
    return {name: InputReference.from_json(one) for name, one in read_json(directory / INPUTS).items()}


def _read_schema(directory: Path) -> Schema:
    content = read_json(directory / "schema.json")
    return Schema.from_json(content, Vocabulary.load(directory / "catalogue" / "ids"))

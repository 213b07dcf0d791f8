"""A bundle's item tables with changes already in them: hashed files beside the bundle, which itself never changes.

`BUNDLE.items-N` holds the changes up to number N of one log, in the form in which the bundle holds its own tables.
It is renamed into place whole, so that a merge that breaks off leaves nothing that anybody would read.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from glob import escape
from pathlib import Path

import numpy as np

from features.errors import BundleError
from features.vocabulary import Vocabulary
from serving.bundle import Bundle
from serving.catalogue import ALWAYS, Catalogue
from serving.filters.attributes import Attributes
from serving.filters.filterable import FilterableItems
from serving.items.delta import Delta
from serving.items.merged_attributes import merged_attributes
from serving.items.snapshot import Snapshot
from serving.manifest import fresh_staging, seal, verify_bundle
from serving.retrieval.device_search import search_on
from serving.retrieval.index import ItemIndex, renew_index
from serving.retrieval.statistics import Statistics

KEPT = 2
"""Merges of a bundle that are kept: a worker may just be opening the last but one."""


def merges_of(bundle: Path) -> dict[int, Path]:
    """The directories beside a bundle that hold its merged tables, by the number of the last change, newest first."""
    found = {number: path for path in bundle.parent.glob("*.items-*") if (number := _number(bundle, path)) is not None}
    return dict(sorted(found.items(), reverse=True))


def write_merged(snapshot: Snapshot, log_identity: str) -> Path:
    """Write a snapshot's item tables as files of their own, and remove what only older ones would need.

    One process at a time may do so for a bundle. Raises BundleError when they were written before.
    """
    main = snapshot.main
    target = main.path.with_name(f"{main.path.name}.items-{snapshot.number}")
    for broken_off in main.path.parent.glob(f".{escape(main.path.name)}.items-*.staging"):
        shutil.rmtree(broken_off)
    staging = fresh_staging(target)
    changed = main.with_items(_closed(snapshot.delta))
    changed.catalogue.save(staging / "catalogue")
    changed.schema.items.save(staging / "catalogue" / "ids")
    changed.statistics.save(staging / "statistics")
    _attributes(main, snapshot.delta).save(staging / "attributes")
    source = merges_of(main.path).get(snapshot.merged, main.path)
    renew_index(source / "index.faiss", staging / "index.faiss", changed.catalogue.vectors, snapshot.delta.rows)
    seal(staging, target, {"schema": main.manifest["schema"], **_belonging(main, log_identity)})
    for number, path in list(merges_of(main.path).items())[KEPT:]:
        if number < snapshot.number:
            shutil.rmtree(path)
    return target


def open_merged(main: Bundle, path: Path, log_identity: str) -> Bundle:
    """A bundle with the item tables of a merge. Raises BundleError when they are damaged, or another's."""
    manifest = verify_bundle(path)
    for name, value in _belonging(main, log_identity).items():
        if manifest.get(name) != value:
            raise BundleError(f"{path} was merged for another {name}: {manifest.get(name)}, not {value}")
    catalogue = Catalogue.load(path / "catalogue")
    on_device = search_on(main.device, main.path, catalogue.vectors)
    return replace(
        main,
        schema=replace(main.schema, items=Vocabulary.load(path / "catalogue" / "ids")),
        catalogue=catalogue,
        filterable=FilterableItems.load(path / "attributes", str(manifest["fingerprint"]), catalogue),
        statistics=Statistics.load(path / "statistics"),
        index=ItemIndex.load(path / "index.faiss", catalogue.vectors, on_device),
    )


def later_merges(snapshot: Snapshot) -> Iterator[tuple[int, Path]]:
    """Merges of a snapshot's bundle that hold more changes than its files, newest first."""
    return ((number, path) for number, path in merges_of(snapshot.main.path).items() if number > snapshot.merged)


def _belonging(main: Bundle, log_identity: str) -> dict[str, str]:
    """What merged files belong to: other models place items elsewhere, another log counts otherwise."""
    return {"bundle": main.fingerprint, "log": log_identity}


def _attributes(main: Bundle, delta: Delta) -> Attributes:
    """Every value of every row as filters read it, changes among them."""
    changed = Attributes.of(main.schema.dataset.items.columns, delta.attributes)
    return merged_attributes(main.filterable.items.attributes, changed, delta.rows, delta.n_rows + len(delta.new_ids))


def _closed(delta: Delta) -> Delta:
    """A delta whose items that are gone may be shown at no moment, which is how files can say it."""
    return replace(
        delta,
        available_from=np.where(delta.gone, ALWAYS.max, delta.available_from),
        available_to=np.where(delta.gone, ALWAYS.min, delta.available_to),
    )


def _number(bundle: Path, path: Path) -> int | None:
    number = path.name.removeprefix(f"{bundle.name}.items-")
    return int(number) if number.isascii() and number.isdigit() else None

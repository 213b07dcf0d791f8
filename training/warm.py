"""A warm fit: towers, transitions and statistics brought up to the newest event, from the weights of a bundle.

The schema grows, so that known rows stay; the ranker and its calibration are the bundle's own. It costs a few epochs
in place of two fits, a search and a ranker; what it is worth, the gate says.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.consenting import trainable
from features.events import AttributeTable, Tables
from features.schema import Schema
from features.schema_growth import grown_schema
from serving.bundle import Bundle, open_bundle
from training.config import TrainingConfig
from training.quiet import quiet
from training.run_folder import Run, claim_folder
from training.stage import embed, item_codes, part_of
from training.steps import final_bundle
from training.towers.start import WEIGHTS, Start, load_weights


@quiet()
def warm_bundle(config: TrainingConfig, tables: Tables, before: Path, run: Path, epochs: int) -> Path:
    """Go on from the bundle `before` with all of `tables`; returns the path of the bundle, `run`/bundle.

    A run that was broken off goes on where it stood. Raises BundleError when the bundle holds no weights, or those of
    other settings or columns.
    """
    started = time.time()
    tables = trainable(config.dataset, tables)
    run.mkdir(parents=True, exist_ok=True)
    target = run / "bundle"
    claim_folder(run, config, tables)
    if not target.exists():
        bundle = open_bundle(before)
        part = part_of(config.dataset, tables, np.ones(len(tables.events), dtype=bool))
        schema = grown_schema(bundle.schema, part.events, part.users, part.items)
        start = start_of(bundle, schema, part.items)
        this = Run.of(config, tables, run)
        final_bundle(this, bundle.transitions.settings, epochs, before, target, started, grown=(schema, start))
    return target


def start_of(bundle: Bundle, schema: Schema, items: AttributeTable) -> Start:
    """The weights of a bundle, and where its item tower puts all items of a grown schema that it has no id for."""
    weights, sizes = load_weights(bundle.path / WEIGHTS)
    codes = item_codes(replace(bundle.schema, items=schema.items), items)
    ids = np.array(bundle.catalogue.id_vectors, dtype=np.float32)
    nobody = np.zeros((len(schema.items), ids.shape[1]), dtype=np.float32)
    return Start(weights, sizes, ids, embed(bundle.item_tower, nobody, codes))


def can_go_on(config: TrainingConfig, bundle: Bundle) -> str | None:
    """Why a bundle cannot be gone on from under a configuration; None when it can."""
    if not (bundle.path / WEIGHTS).is_file():
        return "it holds no weights"
    if bundle.schema.dataset != config.dataset:
        return "its `dataset` section is another one"
    made_with = bundle.manifest.get("config", {})
    for section in ("towers", "pipeline", "ranker"):
        if made_with.get(section) != getattr(config, section).model_dump(mode="json", by_alias=True):
            return f"its `{section}` section is another one"
    return None

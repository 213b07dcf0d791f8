"""One stage: schema, transitions, statistics and towers fitted on some of the events, laid out as a bundle.

Training does this twice, first on slice A and at last on everything; the ranker joins from outside. A stage that
was sealed before is found again and not fitted twice.
"""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from features.dataset import DatasetConfig
from features.events import AttributeTable, Tables
from features.histories import encode_history, history_vectors
from features.people import People
from features.schema import Schema, fit_schema
from features.vocabulary import RESERVED
from serving.bundle import save_schema
from serving.catalogue import ALWAYS, Catalogue, item_vectors
from serving.filters.attributes import Attributes
from serving.graph import Graph
from serving.ranking.calibration import Calibration
from serving.retrieval.device_search import SEARCH
from serving.retrieval.transitions import TransitionSettings
from serving.situation import user_vector
from training.config import TrainingConfig
from training.export.index_choice import choose_index
from training.export.modules import export_item_tower, export_user_tower
from training.export.search import export_search
from training.moments import wanted_turns
from training.statistics import fit_statistics, item_rows
from training.towers.data import ValidationPerson, tower_data
from training.towers.fit import fit_towers
from training.towers.fitted import FittedTowers
from training.towers.start import WEIGHTS, Start, save_weights
from training.transitions.fit import fit_transitions

EMBEDDING_BATCH = 1024
QUERIES = 200
"""Events after which indexes are measured."""


class FittedStage(NamedTuple):
    """What a stage learned that later stages need."""

    schema: Schema
    epochs: int
    """Epochs after which the towers were best."""


def part_of(dataset: DatasetConfig, tables: Tables, keep: BoolArray, *, exposures: bool = False) -> Tables:
    """What a fit may know: the events of a mask, attributes as of the newest of them.

    Exposures are left out unless they are asked for, as for a whole training, whose ranker learns from them.
    """
    shown = np.array([name in dataset.exposures and not exposures for name in tables.events.types])
    events = tables.events.where(keep & ~shown[tables.events.type_codes])
    newest = int(events.moments.max(initial=ALWAYS.min))
    return replace(tables, events=events, users=known_by(tables.users, newest), items=known_by(tables.items, newest))


def known_by(table: AttributeTable, moment: int) -> AttributeTable:
    """The table without the changes of attributes that came after a moment."""
    kept = {name: changes.where(changes.moments <= moment) for name, changes in table.changes.items()}
    return replace(table, changes=kept)


def schema_of(dataset: DatasetConfig, part: Tables) -> Schema:
    """Vocabularies and encoders of a part."""
    return fit_schema(dataset, part.events, part.users, part.items)


def fit_stage(
    config: TrainingConfig,
    part: Tables,
    schema: Schema,
    transition_settings: TransitionSettings,
    staging: Path,
    run: Path,
    *,
    validation: list[ValidationPerson] | None = None,
    epochs: int | None = None,
    start: Start | None = None,
) -> FittedStage:
    """Fit everything but the ranker on a part and lay it in `staging`; checkpoints go to `run`.

    The towers begin at `start`, whose schema grew into this one, or from nothing.
    """
    events = part.events
    turns = events.where(wanted_turns(config.dataset, events))
    fit_transitions(item_rows(schema, turns), turns.offsets, len(schema.items), transition_settings).save(
        staging / "transitions"
    )
    fit_statistics(schema, events, config.recent_half_life_days).save(staging / "statistics")
    codes = item_codes(schema, part.items)
    run.mkdir(parents=True, exist_ok=True)
    data = tower_data(schema, part, codes, config.pipeline.max_events, validation or [])
    fitted = fit_towers(data, config.towers, config.tower_fit, run, epochs=epochs, seed=config.seed, start=start)

    seen = np.bincount(item_rows(schema, events), minlength=len(schema.items)) > 0
    id_vectors = np.where(seen[:, None], fitted.id_embeddings, 0.0).astype(np.float32)
    lay_out_towers(config, part, schema, codes, id_vectors, fitted, staging)
    save_weights(fitted.item_tower, fitted.user_tower, staging / WEIGHTS)
    return FittedStage(schema, fitted.epochs)


def lay_out_towers(
    config: TrainingConfig,
    part: Tables,
    schema: Schema,
    codes: IntArray,
    id_vectors: np.ndarray,
    fitted: FittedTowers,
    staging: Path,
) -> None:
    """Export towers into `staging`, and beside them all that is made of them: item tables, index, schema, settings."""
    export_item_tower(fitted.item_tower, id_vectors, codes, staging / "item_tower.onnx")
    vectors = embed(Graph(staging / "item_tower.onnx"), id_vectors, codes)
    export_user_tower(fitted.user_tower, vectors, config.pipeline.max_events, staging / "user_tower.onnx")
    export_search(vectors.shape[1], staging / SEARCH)
    _catalogue(schema, part.items, vectors, id_vectors, codes).save(staging / "catalogue")
    events_read = config.pipeline.max_events
    with TemporaryDirectory(prefix=".shards", dir=staging.parent) as shards:
        queries = lambda: _user_vectors(schema, part, vectors, staging, events_read)  # noqa: E731
        index, trials = choose_index(vectors, queries, config.index, Path(shards))
        index.save(staging / "index.faiss")
    _write_json(staging / "index.json", [one.model_dump() for one in trials])
    save_schema(schema, staging)
    item_attributes(schema, part.items).save(staging / "attributes")
    _write_json(staging / "settings.json", config.pipeline.model_dump(mode="json"))
    _write_json(staging / "calibration.json", Calibration.identity(len(schema.heads)).model_dump(mode="json"))


def item_codes(schema: Schema, items: AttributeTable) -> IntArray:
    """int64 [R, A]: attribute codes of every row."""
    table = schema.encode_items(_newest_values(items), len(items))
    codes = np.ones((len(schema.items), table.shape[1]), dtype=np.int64)
    codes[schema.items.rows(items.ids)] = table
    codes[:RESERVED] = 0
    return codes


def item_attributes(schema: Schema, items: AttributeTable) -> Attributes:
    """Every value of every row as filters read it."""
    rows = schema.items.rows(items.ids)
    return Attributes.build(schema.dataset.items.columns, _newest_values(items), rows, len(schema.items))


def _newest_values(items: AttributeTable) -> dict[str, list[object]]:
    """[M] values of each attribute; a changing one holds its newest value."""
    columns = {name: list(values) for name, values in items.columns.items()}
    for name, changes in items.changes.items():
        newest: dict[int, object] = dict(zip(changes.entity_codes.tolist(), changes.values, strict=True))
        columns[name] = [newest.get(code) for code in range(len(items))]
    return columns


def embed(tower: Graph, id_vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """float32 [R, D]: every item through the exported tower; the reserved rows stay zero."""
    parts = [
        item_vectors(tower, id_vectors[part], codes[part].astype(np.int64))
        for part in (slice(start, start + EMBEDDING_BATCH) for start in range(0, len(codes), EMBEDDING_BATCH))
    ]
    vectors = np.concatenate(parts)
    vectors[:RESERVED] = 0.0
    return vectors


def _user_vectors(schema: Schema, part: Tables, vectors: FloatArray, staging: Path, max_events: int) -> FloatArray:
    """float32 [Q, D]: vectors of people right after some of the events, to measure a search with."""
    people, tower = People(schema.dataset, part), Graph(staging / "user_tower.onnx")
    asked = []
    for row in np.linspace(0, len(people.events) - 1, QUERIES).astype(np.int64).tolist():
        person, moment = people.after(row, max_events), int(people.events.moments[row])
        history = encode_history(schema, person, moment, max_events)
        asked.append(user_vector(schema, tower, person, history, history_vectors(vectors, history), moment))
    return np.array(asked, dtype=np.float32)


def _catalogue(
    schema: Schema, items: AttributeTable, vectors: np.ndarray, id_vectors: np.ndarray, codes: np.ndarray
) -> Catalogue:
    count, rows = len(schema.items), schema.items.rows(items.ids)
    opens, closes = np.full(count, ALWAYS.min), np.full(count, ALWAYS.max)
    if items.available_from is not None:
        opens[rows] = items.available_from
    if items.available_to is not None:
        closes[rows] = items.available_to
    titles = [""] * count if items.titles is not None else []
    if items.titles is not None:
        for row, title in zip(rows, items.titles, strict=True):
            titles[row] = "" if title is None else str(title)
    return Catalogue.of(
        vectors=vectors,
        id_vectors=id_vectors,
        codes=codes.astype(np.int32),
        available_from=opens,
        available_to=closes,
        titles=tuple(titles),
    )


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

"""A bundle of many items without a training: towers and ranker have their real sizes, the product writes every file.

The weights are those with which a fit begins. The user tower then answers near the item that was taken last, so that
a search meets groups as it would after a fit; `build_world` measures that and refuses a world where it is not so.
R item rows, D embedding_dim, G groups.
"""

import json
import platform
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.accuracy.results import write_atomically
from benchmarks.serving.claim import claim_of, holds, put
from benchmarks.serving.shop import NEWEST, SHOP, Shop, groups_of, shop_of
from benchmarks.serving.walk import Walk
from features.arrays import FloatArray, IntArray
from features.errors import TailorbirdError
from features.schema import Schema
from features.vocabulary import RESERVED
from models.ranker import Ranker
from models.two_towers import TwoTowers
from models.user_tower import UserTowerInputs
from serving.bundle import Bundle, assemble, open_bundle, seal_bundle
from serving.golden import GOLDEN, check_golden, record_golden
from serving.manifest import FORMAT, fresh_staging
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import feature_names, fusion_weights, ranker_rows
from serving.retrieval.candidates import retrieve
from serving.retrieval.transitions import Transitions, TransitionSettings
from serving.situation import situation
from training.config import TrainingConfig
from training.export.golden import simulated_people
from training.export.modules import export_ranker
from training.quiet import quiet
from training.stage import item_codes, lay_out_towers, schema_of
from training.statistics import fit_statistics
from training.towers.fitted import FittedTowers
from training.transitions.fit import MAX_ENTRIES

FOLDER = ROOT / "var" / "bench" / "serving"
SIZES = {"27k": 27_000, "200k": 200_000, "1m": 1_000_000}
SOURCES = (
    "benchmarks/serving/shop.py",
    "benchmarks/serving/walk.py",
    "benchmarks/serving/world.py",
    "serving/retrieval/index.py",
    "serving/retrieval/shards.py",
    "training/stage.py",
)
"""A bundle is built again when one of these changed, when its format did, or when its golden answers are others."""
FOLLOWERS = 60
SAME_GROUP = 0.7
SPREAD = 0.75
"""Length of the noise around a group's centre, in lengths of the centre."""
ID_LENGTH = 3.0
"""Length of an id vector: how much more an id says than the attributes, whose vectors have length 1 each."""
GOLDEN_K = 20
FEATURE_PEOPLE = 8
LIKE = 0.5
"""Cosine that a user vector has at least with its hundredth item, or the world is refused."""
BLOCK = 50_000


class World(NamedTuple):
    """A built bundle and what is told of it."""

    bundle: Path
    report: dict[str, Any]


def world_of(size: str, folder: Path = FOLDER, *, fresh: bool = False) -> World:
    """The bundle of a size, built unless it lies there already."""
    return build_world(SIZES[size], folder / size, fresh=fresh)


def build_world(items: int, folder: Path, *, seed: int = 0, fresh: bool = False) -> World:
    """Build `folder`/bundle of so many items, or find it. Raises BenchmarkError when users are far from all items."""
    claim = claim_of({"items": items, "seed": seed, "format": FORMAT}, SOURCES)
    bundle, report = folder / "bundle", folder / "world.json"
    if fresh or not (holds(folder / "bundle.claim.json", claim) and _answers(bundle)):
        shutil.rmtree(bundle, ignore_errors=True)
        print(f"building a bundle of {items:,} items in {folder}", flush=True)
        write_atomically(report, json.dumps(_build(items, bundle, seed), indent=1))
        put(folder / "bundle.claim.json", claim)
    return World(bundle, json.loads(report.read_text(encoding="utf-8")))


def _answers(bundle: Path) -> bool:
    """Whether a bundle that was built before is whole and still gives its golden answers."""
    try:
        check_golden(Pipeline(open_bundle(bundle)))
    except TailorbirdError as error:
        print(f"{bundle} is built again: {error}", flush=True)
        return False
    return True


@quiet()
def _build(items: int, target: Path, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    config = TrainingConfig(dataset=SHOP, seed=seed)
    shop = shop_of(items, seed)
    tables = shop.tables
    schema = schema_of(SHOP, tables)
    rows = schema.items.rows(shop.item_ids)
    draw = np.random.default_rng(seed + 1)
    staging = fresh_staging(target)

    statistics = fit_statistics(schema, tables.events, config.recent_half_life_days)
    statistics.save(staging / "statistics")
    simulated_transitions(shop, rows, len(schema.items), draw).save(staging / "transitions")
    codes = item_codes(schema, tables.items)
    fitted = _towers(config, schema, codes, shop, rows, draw)
    lay_out_towers(config, tables, schema, codes, fitted.id_embeddings, fitted, staging)

    bundle = assemble(staging, {})
    people = simulated_people(bundle, seed)
    report = _likeness(bundle, seed)
    rankable = _export_ranker(config, bundle, staging / "ranker.onnx", seed)
    pipeline = Pipeline(assemble(staging, {}))
    record_golden(pipeline, people, GOLDEN_K, staging / GOLDEN)
    seal_bundle(staging, target, _provenance(config, schema, tables.fingerprint))
    return {
        "items": items,
        "groups": groups_of(items),
        "entries of the transitions": len(bundle.transitions.indices),
        "candidates": rankable,
        **report,
        "build_seconds": round(time.monotonic() - started, 1),
        "bundle_mb": round(sum(one.stat().st_size for one in target.rglob("*") if one.is_file()) / 2**20, 1),
    }


def _provenance(config: TrainingConfig, schema: Schema, data: str) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json", by_alias=True),
        "data": data,
        "ranker_inputs": feature_names(schema),
        "newest_event": NEWEST,
        "newest_item_change": 0,
        "python": platform.python_version(),
    }


def _towers(
    config: TrainingConfig, schema: Schema, codes: IntArray, shop: Shop, rows: IntArray, draw: np.random.Generator
) -> FittedTowers:
    """Towers as a fit begins, with ids around the centres of their groups; a stranger stands at one of them."""
    torch.manual_seed(config.seed)
    dim = config.towers.embedding_dim
    centres = _unit(draw.normal(size=(shop.groups.max() + 1, dim)))
    ids = np.zeros((len(schema.items), dim), dtype=np.float32)
    taken = shop.popularity > 0
    noise = draw.normal(size=(int(taken.sum()), dim)).astype(np.float32) * (SPREAD * dim**-0.5)
    ids[rows[taken]] = ID_LENGTH * _unit(centres[shop.groups[taken]] + noise)
    towers = TwoTowers(
        UserTowerInputs.of(schema, config.pipeline.max_events),
        schema.item_sizes,
        torch.from_numpy(codes),
        torch.zeros(len(codes), dtype=torch.bool),
        config.towers,
    )
    with torch.no_grad():
        towers.user_tower.stranger.copy_(torch.from_numpy(centres[0]) * dim**0.5)
    return FittedTowers(towers.item_tower.eval(), towers.user_tower.eval(), ids, epochs=0, history=[])


def _unit(vectors: np.ndarray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def simulated_transitions(shop: Shop, rows: IntArray, n_rows: int, draw: np.random.Generator) -> Transitions:
    """Followers of every item that was ever taken: most from its own group, the others by popularity."""
    followers = min(FOLLOWERS, MAX_ENTRIES // n_rows)
    groups, popularity = np.full(n_rows, -1), np.zeros(n_rows)
    groups[rows], popularity[rows] = shop.groups, shop.popularity
    walk = Walk.over(groups, popularity)
    parts = [
        _followers(walk, np.arange(start, min(start + BLOCK, n_rows)), followers, draw)
        for start in range(0, n_rows, BLOCK)
    ]
    counts, indices = (np.concatenate(part) for part in zip(*parts, strict=True))
    evidence = np.log1p(draw.exponential(3.0, len(indices)).astype(np.float32))
    following = evidence * (draw.random(len(indices), dtype=np.float32) < 0.4)
    return Transitions(
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        indices=indices,
        evidence=evidence.astype(np.float16),
        next_evidence=following.astype(np.float16),
        log_popularity=np.log(popularity + 1.0 / n_rows).astype(np.float32),
        settings=TransitionSettings(),
    )


def _followers(walk: Walk, rows: IntArray, followers: int, draw: np.random.Generator) -> tuple[IntArray, np.ndarray]:
    """How many followers each row has, and who they are, ascending within a row, each once."""
    taken = np.diff(walk.heaped, prepend=0.0)[rows] > 0
    sources = np.repeat(rows[taken], followers)
    stay = draw.random(len(sources)) < SAME_GROUP
    found = walk.popular(len(sources), draw)
    found[stay] = walk.near(sources[stay], draw)
    table = np.sort(found.reshape(-1, followers), axis=1)
    new = np.diff(table, axis=1, prepend=-1) > 0
    new &= table != rows[taken][:, None]
    counts = np.zeros(len(rows), dtype=np.int64)
    counts[taken] = new.sum(axis=1)
    return counts, table[new].astype(np.int32)


def _likeness(bundle: Bundle, seed: int) -> dict[str, float]:
    """How near users and items lie: cosines of simulated users with their hundredth item, and of strangers' pairs."""
    vectors = np.asarray(bundle.catalogue.vectors)[RESERVED:]
    count = min(100, len(vectors))
    hundredth = []
    for person, moment in simulated_people(bundle, seed + 1)[3:]:
        cosines = vectors @ situation(bundle, person, moment).user_vector
        hundredth.append(float(np.partition(cosines, -count)[-count]))
    pairs = vectors[np.random.default_rng(seed).integers(0, len(vectors), (2, 10_000))]
    report = {
        "cosine of a user and the hundredth item": round(float(np.median(hundredth)), 3),
        "cosine of two items": round(float((pairs[0] * pairs[1]).sum(axis=1).mean()), 3),
    }
    if len(vectors) > 10 * count and report["cosine of a user and the hundredth item"] < LIKE:
        raise BenchmarkError(f"users lie far from all items, which no fitted tower gives: {report}")
    return report


def _export_ranker(config: TrainingConfig, bundle: Bundle, path: Path, seed: int) -> int:
    """A ranker that scales real rows and blends them as a fit begins, its deep path awake; mean candidates."""
    rows, counts = [], []
    for person, moment in simulated_people(bundle, seed + 2)[-FEATURE_PEOPLE:]:
        here = situation(bundle, person, moment)
        candidates = retrieve(here)
        rows.append(ranker_rows(here, candidates).features)
        counts.append(len(candidates.rows))
    features = np.concatenate(rows)
    heads = len(bundle.schema.heads)
    torch.manual_seed(seed)
    ranker = Ranker(features.shape[1], heads, config.ranker)
    ranker.standardise.set(torch.from_numpy(features.mean(axis=0)), torch.from_numpy(features.std(axis=0)))
    ranker.start_from(torch.from_numpy(fusion_weights(bundle.schema)), torch.linspace(0.05, 0.01, heads))
    with torch.no_grad():
        ranker.output.weight.normal_(std=0.02)
    export_ranker(ranker, np.asarray(bundle.catalogue.vectors), features[:5000], path)
    return round(float(np.mean(counts)))

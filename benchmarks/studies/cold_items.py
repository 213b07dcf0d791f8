"""Items that nobody has taken yet: a random fifth of a catalogue held out with all its events.

The cold items stay in the table of items, so that the bundle holds them, without a trained id. A question is the
first time that somebody took a cold item with at least one event on a warm item before: the warm events before that
moment are the history, the cold item is what is looked for, and the cold items that they took earlier are excluded.
So nothing after the moment is read, and one person may ask several questions; every person counts the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.studies.baselines import VARIANTS, CellPopularity, ContentNeighbours, NeighbourSettings, cell_columns
from benchmarks.studies.places import (
    draw_for,
    figures,
    only,
    place_by,
    recalls,
    some,
    tower_scores,
    user_codes,
    whole_place,
)
from benchmarks.studies.study import Asked, Found, Part, Table, only_events, read_tables, study
from features.arrays import BoolArray, FloatArray, IntArray
from features.dataset import DatasetConfig
from features.events import Tables
from features.frames import Frames
from features.histories import encode_history
from features.people import People
from features.reading import find_files
from serving.bundle import Bundle, open_bundle
from serving.retrieval.candidates import given, retrieve
from serving.retrieval.eligibility import open_to
from serving.situation import situation
from training.config import TrainingConfig
from training.evaluation.metrics import per_user
from training.moments import Moment, moments_among
from training.ranker.examples import in_parallel
from training.run import train_on

K = 20
SHARE = 0.2
INNER = 1_000
"""Questions of the inner split, which chooses how content neighbours read a history."""
CONTENT = "content neighbours"
SCOPES = ("cold items alone", "full catalogue")
ABOUT = (
    "A fifth of the items, drawn at random, lost all events ({cold:,} items, {lost:,} of {events:,} events; train and "
    "holdout pooled). {questions:,} questions of {users:,} people: each the first time that somebody took a cold item "
    "after at least one warm one. The history is the warm events before that moment; cold items taken earlier are "
    "excluded from every list. In the first table only the cold items are ranked, in the second the full catalogue. "
    "Recall@20 and NDCG@10 by person; intervals are paired bootstraps over people. Popularity knows nothing of a cold "
    "item, so that among cold items its order is random. Content neighbours read the attributes that the item tower "
    "reads, in the variant that was best on an inner split (another fifth of the warm items): {variants}."
)


class Question(NamedTuple):
    """Somebody just before they took a cold item."""

    moment: Moment
    """Its person knows warm events only."""
    excluded: tuple[str, ...]
    """Cold items that they took before."""


def cold_items(asked: Asked) -> Found:
    """Train on the warm events; rank for those who took cold items."""
    config = asked.config
    tables = read_tables(asked, pooled(config.dataset, asked.folder))
    cold = drawn_items(tables, config.seed)
    warm = only_events(tables, ~cold[tables.events.item_codes])
    questions = questions_of(config, tables, cold, asked.moments)
    bundle_path = train_on(config, warm, asked.run)
    bundle = open_bundle(bundle_path)
    cold_rows = bundle.schema.items.rows(tables.events.items[cold])
    chosen = best_settings(bundle, config, warm, cold_rows)
    cells = CellPopularity(bundle.schema, People(config.dataset, warm)) if cell_columns(config.dataset) else None
    neighbours = {scope: neighbours_of(bundle, variant) for scope, variant in chosen.items()}
    work = partial(_places, cold=cold_rows, neighbours=neighbours, cells=cells, seed=config.seed)
    found = list(in_parallel(work, bundle_path, questions, config.workers, "cold items"))
    users = user_codes([one.moment for one in questions])
    about = ABOUT.format(
        cold=int(cold.sum()),
        lost=len(tables.events) - len(warm.events),
        events=len(tables.events),
        questions=len(questions),
        users=int(users.max()) + 1,
        variants="; ".join(f"{scope}: {one}" for scope, one in chosen.items()),
    )
    return Found(about, tables.fingerprint, [_table(scope, found, users, config.seed) for scope in SCOPES])


def pooled(dataset: DatasetConfig, folder: Path) -> Frames | None:
    """The table of events and the holdout.csv beside it as one; None where there is no holdout."""
    files = find_files(str(dataset.events.path), folder, "dataset.events.path")
    holdout = files[0].parent / "holdout.csv"
    if not holdout.exists():
        return None
    parts = [pd.read_parquet(one) if one.suffix == ".parquet" else pd.read_csv(one) for one in files]
    return {"events": pd.concat([*parts, pd.read_csv(holdout)], ignore_index=True)}


def drawn_items(tables: Tables, seed: int) -> BoolArray:
    """bool [I]: a random fifth of the item codes that have events."""
    occurring = np.unique(tables.events.item_codes)
    chosen = np.random.default_rng(seed).choice(occurring, round(len(occurring) * SHARE), replace=False)
    return only(chosen, len(tables.events.items))


def questions_of(config: TrainingConfig, tables: Tables, cold: BoolArray, limit: int) -> list[Question]:
    """The questions about the cold items, bool [I] by item code: at most `limit`, drawn evenly."""
    of_cold = cold[tables.events.item_codes]
    warm = People(config.dataset, only_events(tables, ~of_cold))
    everything = People(config.dataset, tables)
    asked = moments_among(everything, cold[everything.events.item_codes])
    cold_ids = set(tables.events.items[cold])
    found = []
    for one in asked:
        taken = one.person.taken_until(one.moment).item_ids
        person = replace(warm.person(one.user_id, one.moment), context=one.person.context)
        if one.wanted(config.dataset) and len(person.events) and one.item_id not in taken:
            earlier = tuple(dict.fromkeys(item for item in taken if item in cold_ids))
            found.append(Question(one._replace(person=person), earlier))
    return some(found, limit, config.seed)


def best_settings(
    bundle: Bundle, config: TrainingConfig, warm: Tables, cold_rows: IntArray
) -> dict[str, NeighbourSettings]:
    """The variant of content neighbours that is best on warm items treated as cold, by scope."""
    inner = drawn_items(warm, config.seed + 1)
    questions = questions_of(config, warm, inner, INNER)
    inner_rows = bundle.schema.items.rows(warm.events.items[inner])
    users = user_codes([one.moment for one in questions])
    known = ~only(cold_rows, len(bundle.catalogue))
    scores: dict[tuple[str, NeighbourSettings], float] = {}
    for variant in VARIANTS:
        neighbours = neighbours_of(bundle, variant)
        found = [_inner_places(bundle, neighbours, one, inner_rows, known, config.seed) for one in questions]
        for scope in SCOPES:
            places = np.array([one[scope] for one in found])
            scores[scope, variant] = float(per_user(recalls(places, K), users).mean())
    return {scope: max(VARIANTS, key=lambda variant: scores[scope, variant]) for scope in SCOPES}


def neighbours_of(bundle: Bundle, settings: NeighbourSettings) -> ContentNeighbours:
    """Content neighbours over the attributes of a bundle's items."""
    return ContentNeighbours(np.asarray(bundle.catalogue.codes), bundle.schema.item_sizes, settings)


def _inner_places(
    bundle: Bundle, neighbours: ContentNeighbours, one: Question, rows: IntArray, known: BoolArray, seed: int
) -> dict[str, int]:
    moment, schema = one.moment, bundle.schema
    history = encode_history(schema, moment.person, moment.moment, bundle.settings.max_events)
    open_rows = known & open_to(schema, bundle.catalogue, moment.person, moment.moment, one.excluded).mask(len(known))
    scores, target = neighbours.scores(history.item_rows), schema.items.row(moment.item_id)
    draw = draw_for(moment, seed)
    allowed = (open_rows & only(rows, len(known)), open_rows)
    return {scope: place_by(scores, part, target, draw) for scope, part in zip(SCOPES, allowed, strict=True)}


def _places(
    bundle: Bundle,
    one: Question,
    *,
    cold: IntArray,
    neighbours: dict[str, ContentNeighbours],
    cells: CellPopularity | None,
    seed: int,
) -> dict[tuple[str, str], int]:
    """The place of the target by scope and system."""
    moment = one.moment
    here = situation(bundle, moment.person, moment.moment, one.excluded)
    target, draw = bundle.schema.items.row(moment.item_id), draw_for(moment, seed)
    cold_open = only(cold, len(bundle.catalogue)) & here.open_rows
    scopes = (
        (SCOPES[0], cold_open, given(here, np.flatnonzero(cold_open))),
        (SCOPES[1], here.open_rows, retrieve(here)),
    )
    found: dict[tuple[str, str], int] = {}
    for scope, allowed, candidates in scopes:
        systems: dict[str, FloatArray] = {
            "two towers": tower_scores(here),
            CONTENT: neighbours[scope].scores(here.history.item_rows),
            "popularity": np.asarray(bundle.statistics.popularity),
        }
        if cells is not None:
            systems["popularity by cell"] = cells.scores(moment.person.attributes)
        found[scope, "tailorbird"] = whole_place(here, candidates, target, K)
        found |= {(scope, name): place_by(scores, allowed, target, draw) for name, scores in systems.items()}
    return found


def _table(scope: str, found: Sequence[dict[tuple[str, str], int]], users: IntArray, seed: int) -> Table:
    systems = [name for part, name in found[0] if part == scope]
    places = {name: np.array([one[scope, name] for one in found], dtype=np.int64) for name in systems}
    return Table(scope, figures(places, users, k=K, against=CONTENT, seed=seed))


main = study("cold_items", {"beauty": Part("configs/beauty.yaml", cold_items)})

if __name__ == "__main__":
    main()

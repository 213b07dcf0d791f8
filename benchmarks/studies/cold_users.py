"""People of whom little is known: lists after their first 0, 1, 2, 5 and 10 turns to an item, and who they are or not.

A tenth of the users is kept out of the training wholly, rows of the table of users among it. A question is one of
them after a prefix of their events: everything before is known, the next turn is looked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.studies.baselines import VARIANTS, CellPopularity, ContentNeighbours, NeighbourSettings, cell_columns
from benchmarks.studies.places import (
    draw_for,
    figures,
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
from features.events import AttributeTable, Changes, EventTable, Tables
from features.people import People
from features.tables import fingerprint
from serving.bundle import Bundle, open_bundle
from serving.retrieval.candidates import retrieve
from serving.situation import Situation, situation
from training.config import TrainingConfig
from training.evaluation.metrics import per_user
from training.moments import Moment, first_of_runs, moments_among
from training.ranker.examples import in_parallel
from training.run import first_fit

PREFIXES = (0, 1, 2, 5, 10)
K = 10
SHARE = 0.1
INNER = 500
"""Moments of training users on which the variant of content neighbours is chosen."""
TIE = 1e-6
"""Weight of popularity, at most 1, among items that content neighbours hold equally like: all, for a stranger."""
POPULARITY = "popularity"
ABOUT = (
    "{out:,} of {users:,} users, drawn at random, were kept out of the training wholly. Each is asked after their "
    "first 0, 1, 2, 5 and 10 turns to an item, where they have more; the next turn is looked for in the full "
    "catalogue, without what they took. The models are those of the first fit (without the refit on the other users' "
    "newest tenth). `without demographics` is a training of its own, without any attribute of users. Cells: {cells}. "
    "Content neighbours, in the variant that was best for training users after the same prefixes ({variant}), fall "
    "back on popularity for a stranger. Intervals are paired bootstraps over people, minus popularity."
)


class Split(NamedTuple):
    """Users in a training and users kept out of it."""

    kept: Tables
    out: BoolArray
    """bool [U] by user code."""


def cold_users(asked: Asked) -> Found:
    """Train with and without demographics on nine tenths of the users; rank for the others."""
    config = asked.config
    tables = read_tables(asked)
    kept, out = split_users(tables, config.seed)
    with_stage = first_fit(config, kept, asked.run / "with").stage
    plain = without_demographics(config)
    plain_stage = first_fit(plain, without_attributes(kept), asked.run / "without").stage
    asked_people = People(config.dataset, tables)
    moments = by_prefix(config.dataset, asked_people, out[asked_people.events.user_codes], asked.moments, config.seed)
    bundle, kept_people = open_bundle(with_stage), People(config.dataset, kept)
    variant = best_settings(bundle, config, kept_people)
    judge = partial(
        _places,
        neighbours=ContentNeighbours(np.asarray(bundle.catalogue.codes), bundle.schema.item_sizes, variant),
        cells=CellPopularity(bundle.schema, kept_people),
        seed=config.seed,
    )
    sections = [
        Table(f"after {prefix} turns", _rows(judge, with_stage, plain_stage, some_moments, config))
        for prefix, some_moments in moments.items()
        if some_moments
    ]
    about = ABOUT.format(
        out=int(out.sum()),
        users=len(out),
        cells=" × ".join(cell_columns(config.dataset)) or "one for all: there is no such attribute",
        variant=variant,
    )
    return Found(about, tables.fingerprint, sections)


def split_users(tables: Tables, seed: int) -> Split:
    """A random tenth of the users with events out, and the tables without anything of them."""
    events = tables.events
    active = np.unique(events.user_codes)
    chosen = np.random.default_rng(seed).choice(active, max(1, round(len(active) * SHARE)), replace=False)
    out = np.isin(np.arange(len(events.users)), chosen)
    remaining = only_events(tables, ~out[events.user_codes])
    users = rows_without(tables.users, set(events.users[out]))
    content = fingerprint(remaining.events, users, tables.items)
    return Split(replace(remaining, users=users, fingerprint=content), out)


def rows_without(table: AttributeTable, ids: set[str]) -> AttributeTable:
    """A table of users without some of them."""
    keep = np.array([one not in ids for one in table.ids], dtype=np.bool_)
    codes = np.cumsum(keep) - 1
    changes = {name: one.where(keep[one.entity_codes]) for name, one in table.changes.items()}
    return replace(
        table,
        ids=table.ids[keep],
        columns={name: column[keep] for name, column in table.columns.items()},
        changes={name: Changes(codes[one.entity_codes], one.moments, one.values) for name, one in changes.items()},
    )


def without_demographics(config: TrainingConfig) -> TrainingConfig:
    """The configuration of a training that knows no attribute of users."""
    users = config.dataset.users.model_copy(update={"columns": {}})
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"users": users})})


def without_attributes(tables: Tables) -> Tables:
    """The tables with nothing about users but their events."""
    users = replace(tables.users, columns={}, changes={})
    return replace(tables, users=users, fingerprint=fingerprint(tables.events, users, tables.items))


def by_prefix(
    dataset: DatasetConfig, people: People, keep: BoolArray, limit: int, seed: int
) -> dict[int, list[Moment]]:
    """Moments of the users in a mask over `people.events`, before the turn that follows each prefix of turns.

    At most `limit` per prefix, drawn evenly.
    """
    turns = turns_before(people.events)
    found = {prefix: moments_among(people, keep & (turns == prefix)) for prefix in PREFIXES}
    return {
        prefix: some([one for one in moments if one.wanted(dataset)], limit, seed) for prefix, moments in found.items()
    }


def turns_before(events: EventTable) -> IntArray:
    """int64 [N]: how often the user had turned to an item before the run in which each event stands."""
    counted = np.cumsum(first_of_runs(events))
    offsets = events.offsets
    starts = offsets[:-1][events.user_codes]
    return np.asarray(counted - counted[starts], dtype=np.int64)


def best_settings(bundle: Bundle, config: TrainingConfig, people: People) -> NeighbourSettings:
    """The variant of content neighbours that is best for training users after the same prefixes."""
    everybody = np.ones(len(people.events), dtype=np.bool_)
    found = by_prefix(config.dataset, people, everybody, INNER // len(PREFIXES), config.seed)
    moments = [one for prefix, part in found.items() if prefix > 0 for one in part]
    scores: dict[NeighbourSettings, float] = {}
    situations = [_situation(bundle, one) for one in moments]
    for variant in VARIANTS:
        neighbours = ContentNeighbours(np.asarray(bundle.catalogue.codes), bundle.schema.item_sizes, variant)
        places = [
            _content_place(neighbours, here, bundle.schema.items.row(one.item_id), draw_for(one, config.seed))
            for here, one in zip(situations, moments, strict=True)
        ]
        scores[variant] = float(per_user(recalls(np.array(places), K), user_codes(moments)).mean())
    return max(VARIANTS, key=lambda variant: scores[variant])


def _situation(bundle: Bundle, moment: Moment) -> Situation:
    """Nobody turns to the item that they are looking at."""
    return situation(bundle, moment.person, moment.moment, exclude=moment.person.events.item_ids[-1:])


def _content_place(neighbours: ContentNeighbours, here: Situation, target: int, draw: np.random.Generator) -> int:
    popularity = np.asarray(here.bundle.statistics.popularity)
    scores = neighbours.scores(here.history.item_rows) + TIE * popularity / max(float(popularity.max()), 1.0)
    return place_by(scores, here.open_rows, target, draw)


def _places(
    bundle: Bundle, moment: Moment, *, neighbours: ContentNeighbours, cells: CellPopularity, seed: int
) -> dict[str, int]:
    """The place of what was taken, by system."""
    here = _situation(bundle, moment)
    target, draw, allowed = bundle.schema.items.row(moment.item_id), draw_for(moment, seed), here.open_rows
    plain: dict[str, FloatArray] = {
        POPULARITY: np.asarray(bundle.statistics.popularity),
        "popularity by cell": cells.scores(moment.person.attributes),
    }
    return {
        **_neural(bundle, moment),
        **{name: place_by(scores, allowed, target, draw) for name, scores in plain.items()},
        "content neighbours": _content_place(neighbours, here, target, draw),
    }


def _neural(bundle: Bundle, moment: Moment) -> dict[str, int]:
    here, target = _situation(bundle, moment), bundle.schema.items.row(moment.item_id)
    return {
        "tailorbird": whole_place(here, retrieve(here), target, K),
        "two towers": place_by(tower_scores(here), here.open_rows, target, np.random.default_rng(0)),
    }


def _rows(
    judge: "partial[dict[str, int]]", stage: Path, plain: Path, moments: Sequence[Moment], config: TrainingConfig
) -> list[dict[str, object]]:
    first = list(in_parallel(judge, stage, moments, config.workers, "with demographics"))
    second = list(in_parallel(_neural, plain, moments, config.workers, "without demographics"))
    places = {name: np.array([one[name] for one in first], dtype=np.int64) for name in first[0]}
    places |= {
        f"{name}, without demographics": np.array([one[name] for one in second], dtype=np.int64) for name in second[0]
    }
    return figures(places, user_codes(moments), k=K, against=POPULARITY, seed=config.seed)


main = study("cold_users", {"ml-1m": Part("configs/movielens-1m.yaml", cold_users)})

if __name__ == "__main__":
    main()

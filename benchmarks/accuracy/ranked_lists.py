"""Ranked lists of single systems from a bundle, in a process that knows no torch: `python -m` this file.

Each source is asked as the pipeline asks it, at the pipeline's own moment: with everything in the tables known. The
whole pipeline's lists come from `tailorbird recommend`. The Markov chain is no source of the pipeline: it is counted
here, on the same events. R item rows.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.referee import K
from features.arrays import IntArray
from features.config import read_config
from features.people import People
from features.tables import load_tables
from features.vocabulary import Vocabulary
from serving.bundle import Bundle, open_bundle
from serving.retrieval.sources import SOURCES, best
from serving.retrieval.transitions import Transitions
from serving.situation import Situation, situation
from training.evaluation.baselines import markov_chain
from training.moments import wanted_turns
from training.statistics import item_rows
from training.transitions.fit import fit_transitions

BY_SOURCE = {"two-towers": "nearest", "transitions": "transitions", "popularity": "popular"}
"""The source that each of our single systems is."""


def main(bundle_path: Path, config: Path, holdout: Path, output: Path) -> None:
    """Write `output`/SYSTEM.parquet for each system, and seconds.json: what counting took."""
    if "torch" in sys.modules or _can_import_torch():
        raise SystemExit("torch can be imported here; run this in the serving environment")
    bundle = open_bundle(bundle_path)
    file = read_config(config)
    people = People(file.dataset, load_tables(file.dataset, file.folder))
    markov, seconds = fitted_counts(bundle, people)
    users = list(dict.fromkeys(pd.read_csv(holdout, usecols=["user_id"], dtype=str)["user_id"]))
    write_lists(rankings(bundle, people, markov, users), bundle.schema.items, output)
    (output / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def _can_import_torch() -> bool:
    try:
        __import__("torch")
    except ModuleNotFoundError:
        return False
    return True


def fitted_counts(bundle: Bundle, people: People) -> tuple[Transitions, dict[str, float]]:
    """The Markov chain of all events, and the seconds that it and the bundle's transitions take to count."""
    turns = people.events.where(wanted_turns(bundle.schema.dataset, people.events))
    rows, count = item_rows(bundle.schema, turns), len(bundle.schema.items)
    started = time.perf_counter()
    np.bincount(rows, minlength=count)
    popular = time.perf_counter()
    markov = markov_chain(rows, turns.offsets, count)
    counted = time.perf_counter()
    fit_transitions(rows, turns.offsets, count, bundle.transitions.settings)
    ended = time.perf_counter()
    return markov, {"popularity": popular - started, "markov": counted - popular, "transitions": ended - counted}


def rankings(
    bundle: Bundle, people: People, markov: Transitions, users: Iterable[str]
) -> Iterator[tuple[str, dict[str, IntArray]]]:
    """For each user the rows of each system's list, best first; what the user has taken is blocked."""
    moment = int(people.events.moments.max())
    for user in users:
        here = situation(bundle, people.person(user, moment), moment)
        yield user, {**_of_sources(here), "markov": _markov(here, markov)}


def _of_sources(here: Situation) -> dict[str, IntArray]:
    by_name = {source.name: source for source in SOURCES}
    return {system: by_name[name].retrieve(here, K)[:K] for system, name in BY_SOURCE.items()}


def _markov(here: Situation, markov: Transitions) -> IntArray:
    return best(markov.scores(here.history.item_rows), K, here)


def write_lists(ranked: Iterable[tuple[str, dict[str, IntArray]]], items: Vocabulary, output: Path) -> None:
    """One Parquet file for each system: user_id, item_id, rank from 1."""
    columns: dict[str, tuple[list[str], list[str], list[int]]] = {}
    for user, lists in ranked:
        for system, rows in lists.items():
            users, ids, ranks = columns.setdefault(system, ([], [], []))
            users += [user] * len(rows)
            ids += [items.id_of(int(row)) for row in rows]
            ranks += range(1, len(rows) + 1)
    output.mkdir(parents=True, exist_ok=True)
    for system, (users, ids, ranks) in columns.items():
        frame = pd.DataFrame({"user_id": users, "item_id": ids, "rank": ranks})
        frame.to_parquet(output / f"{system}.parquet", index=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

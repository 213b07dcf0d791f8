"""Whether interests alone make a useful list for somebody without a history; and accuracy by group, from the report.

A person of the simulated world stands for a newcomer: they have no event and no attribute, and name the categories that
they turned to most in the first half of their past, as at a sign-up: of an attribute with a dozen values or so. (Of one
with two values everybody names both, and has said nothing.) Lists are judged by the items that they took in the
second half, beside the list of a stranger who names nothing, which is what is popular, and beside items drawn
evenly.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.person.faithfulness import simulated
from benchmarks.person.results import about_now, put
from features.arrays import FloatArray
from features.people import People
from features.person import Person
from features.preferences import Category, Preferences
from features.schema import Schema
from features.tables import load_tables
from features.vocabulary import RESERVED
from serving.answers import Query
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.config import read_training_config

HERE = Path(__file__).parent
FILE = "interests.json"
K = 20
NAMED = 2
"""Categories that a newcomer names."""
FEWEST_EVENTS = 8
MOST_VALUES = 50
"""An attribute with more is nothing that somebody chooses from at a sign-up."""
DRAWS = 2_000
"""Of the bootstrap over people."""
LISTS = ("interests", "popular", "random")


def measure(pipeline: Pipeline, people: People, count: int, seed: int = 0) -> dict[str, Any]:
    """Recall@20 of the three lists, and how much interests gain on popularity, with 95 % intervals over people."""
    attribute, _, values = _categorical(pipeline.bundle.schema)
    moment, draw = pipeline.bundle.statistics.newest + 1, np.random.default_rng(seed)
    known = [user for user in people.user_ids if len(people.person(user).events) >= FEWEST_EVENTS]
    asked = [str(one) for one in draw.permutation(known)[:count]]
    ids = pipeline.bundle.schema.items.ids
    popular = _list(pipeline, Person(), moment)
    found = []
    for user in asked:
        past = people.person(user).events.item_ids
        before, after = past[: len(past) // 2], set(past[len(past) // 2 :])
        newcomer = replace(Person(), preferences=Preferences(interests=named(pipeline, before)))
        lists = (_list(pipeline, newcomer, moment), popular, [ids[one] for one in draw.permutation(len(ids))[:K]])
        found.append([len(after & set(items)) / min(K, len(after)) for items in lists])
    recalls = np.array(found)  # [people, lists]
    gains = recalls[:, 0] - recalls[:, 1]
    return {
        "people": len(asked),
        "attribute": attribute,
        "values": len(values),
        **{name: _interval(recalls[:, place], draw) for place, name in enumerate(LISTS)},
        "interests minus popular": _interval(gains, draw),
    }


def named(pipeline: Pipeline, item_ids: Sequence[str]) -> tuple[Category, ...]:
    """The categories that the items have most."""
    schema, codes = pipeline.bundle.schema, pipeline.bundle.catalogue.codes
    name, column, values = _categorical(schema)
    rows = schema.items.rows(item_ids)
    found = codes[rows[rows >= RESERVED]][:, column]
    counts = Counter(found[found >= RESERVED].tolist())
    return tuple(Category(name, values[code - RESERVED]) for code, _ in counts.most_common(NAMED))


def _categorical(schema: Schema) -> tuple[str, int, Sequence[str]]:
    """Of the attributes with one value an item the one with most values to choose from: name, place, values."""
    found, column = [], 0
    for field in schema.item_fields:
        if field.role == "categorical" and len(field.vocabulary) <= MOST_VALUES:
            found.append((field.name, column, list(field.vocabulary.ids)))
        column += field.width
    if not found:
        raise click.ClickException(
            f"items have no categorical attribute of at most {MOST_VALUES} values to choose from"
        )
    return max(found, key=lambda one: len(one[2]))


def _list(pipeline: Pipeline, person: Person, moment: int) -> list[str]:
    return [one.item_id for one in pipeline.recommend(person, Query(k=K), moment).items]


def _interval(values: FloatArray, draw: np.random.Generator) -> list[float]:
    """Mean, and the bounds of its 95 % interval."""
    means = values[draw.integers(len(values), size=(DRAWS, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return [round(float(one), 4) for one in (values.mean(), low, high)]


def groups(report: Path) -> dict[str, Any]:
    """NDCG by group of each protected attribute, as the training's report has it."""
    fairness = json.loads(report.read_text(encoding="utf-8"))["fairness"]
    return {
        f"{attribute}: {group}": {
            "users": row["users"],
            "moments": row["moments"],
            "ndcg": [round(row["ndcg"][one], 4) for one in ("mean", "low", "high")],
        }
        for attribute, each in fairness["groups"].items()
        for group, row in each.items()
    } | {"k": fairness["k"]}


@click.command()
@click.option("--bundle", envvar="TAILORBIRD_PERSON_BUNDLE", type=click.Path(exists=True, path_type=Path))
@click.option("--config", envvar="TAILORBIRD_PERSON_CONFIG", type=click.Path(exists=True, path_type=Path))
@click.option("--people", "count", default=500, show_default=True, help="How many newcomers to ask.")
@click.option("--name", default="simulator", show_default=True, help="Of the rows in interests.json.")
@click.option("--run", default="var/bench/person", show_default=True, type=click.Path(path_type=Path))
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of the figures and RESULTS.md.")
def main(bundle: Path | None, config: Path | None, *, count: int, name: str, run: Path, results: Path) -> None:
    """Measure, print, and keep the figures; without a bundle and its config, of a simulated world in the run folder."""
    if bundle is None or config is None:
        bundle, config = simulated(run)
    read, folder = read_training_config(config)
    people = People(read.dataset, load_tables(read.dataset, folder))
    about = about_now("", f"python -m benchmarks.person.interests --people {count} --name '{name}'")
    row = measure(Pipeline(open_bundle(bundle)), people, count)
    put(results, "interests", name, {**row, "about": about}, FILE)
    put(results, "groups", name, {"groups": groups(bundle.resolve().parent / "report.json"), "about": about}, FILE)
    click.echo(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()

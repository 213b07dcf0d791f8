"""What it costs that a person never sees some categories, where there are very many items: memory, and milliseconds.

The bundle is that of the measurements of serving; creators are hidden, of which there are most. A request is one of the
pipeline, without HTTP. `first` finds no bitmap that was kept before, `again` finds all of them.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.person.results import about_now, put
from benchmarks.serving.world import SIZES, world_of
from features.person import Person
from features.preferences import Category, Preferences
from serving.answers import Query
from serving.bundle import Bundle, open_bundle
from serving.filters import FilterCache
from serving.pipeline import Pipeline

HERE = Path(__file__).parent
FILE = "hidden.json"
ATTRIBUTE = "creator"
COUNTS = (0, 1, 10, 50, 200)
"""Categories that one person hides: as many as one request can declare, at most."""
EACH = 10
"""Categories that each of a crowd hides, drawn evenly."""
ROUNDS = 20
REQUEST = Query(k=20)


def measure(bundle: Bundle, crowd: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """A row for each number of hidden categories, then one for a crowd of whom each hides others."""
    draw, moment = np.random.default_rng(seed), bundle.statistics.newest + 1
    categories = [Category(ATTRIBUTE, one) for one in _values(bundle)]
    for count in COUNTS:
        hiding = [categories[place] for place in draw.permutation(len(categories))[:count].tolist()]
        first = [_ask(_with_new_cache(bundle), [hiding], moment)[0] for _ in range(3)]
        pipeline = _with_new_cache(bundle)
        again = _ask(pipeline, [hiding] * (1 + ROUNDS), moment)[1:]
        yield _row(f"one person hides {count}", first, again, pipeline.bundle.filterable.cache)
    people = [[categories[one] for one in draw.integers(len(categories), size=EACH).tolist()] for _ in range(crowd)]
    pipeline = _with_new_cache(bundle)
    first = _ask(pipeline, people, moment)
    again = _ask(pipeline, people, moment)
    yield _row(f"each of {crowd:,} people hides {EACH}", first, again, pipeline.bundle.filterable.cache)


def _row(who: str, first: Sequence[float], again: Sequence[float], cache: FilterCache) -> dict[str, Any]:
    return {
        "who": who,
        "first_ms": round(float(np.median(first)), 2),
        "again_ms": round(float(np.median(again)), 2),
        "again_p99_ms": round(float(np.quantile(again, 0.99)), 2),
        "cache_mb": round(cache.size / 2**20, 2),
        "kept": len(cache),
        "found": round(cache.hits / max(cache.hits + cache.misses, 1), 4),
    }


def _ask(pipeline: Pipeline, people: Sequence[Sequence[Category]], moment: int) -> list[float]:
    """Milliseconds of a list for each, of whom nothing else is known."""
    found = []
    for hiding in people:
        person = Person(preferences=Preferences(hidden=frozenset(hiding)))
        started = time.perf_counter()
        pipeline.recommend(person, REQUEST, moment)
        found.append(1000 * (time.perf_counter() - started))
    return found


def _with_new_cache(bundle: Bundle) -> Pipeline:
    return Pipeline(replace(bundle, filterable=replace(bundle.filterable, cache=FilterCache())))


def _values(bundle: Bundle) -> Sequence[str]:
    (field,) = [one for one in bundle.schema.item_fields if one.name == ATTRIBUTE]
    return list(field.vocabulary.ids)


@click.command()
@click.option("--size", default="1m", show_default=True, type=click.Choice(list(SIZES)), help="Items of the bundle.")
@click.option("--crowd", default=500, show_default=True, help="People who hide categories of their own.")
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of the figures and RESULTS.md.")
@click.option("--note", default="", help="What else is to be known of the machine while it measured.")
def main(size: str, crowd: int, results: Path, note: str) -> None:
    """Measure, print, and keep the figures; the bundle is built unless it lies there."""
    bundle = open_bundle(world_of(size).bundle)
    about = about_now(note, f"python -m benchmarks.person.hidden --size {size} --crowd {crowd}")
    rows = []
    for row in measure(bundle, crowd):
        click.echo(json.dumps(row))
        rows.append(row)
    put(results, "hidden", f"{SIZES[size]:,} items", {"rows": rows, "about": about}, FILE)


if __name__ == "__main__":
    main()

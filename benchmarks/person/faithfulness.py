"""Whether the reasons are the reasons: without the named events an item falls further than without as many others.

The whole path is asked, not the number that chose the events: the pipeline answers a person's request with reasons, the
named events are deleted from the person's record, and the pipeline is asked again, with nothing kept in between. The
same is done with as many events of like age that were not named. A tie counts against us.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.person.results import about_now, put
from features.arrays import IntArray
from features.people import People
from features.person import Events, Person, Taken
from features.tables import load_tables
from serving.answers import MAX_K, Query
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.config import read_training_config
from training.run import train
from training.simulator import SimulatorSettings, simulate

HERE = Path(__file__).parent
FILE = "faithfulness.json"
LIST = 10
"""The item is one of so many first ones, drawn evenly."""
FEWEST_EVENTS = 8
NEIGHBOURS = 6
"""An event of like age is one of so many that are nearest in the order of the history and not named."""


class Case(NamedTuple):
    """What became of one item of one person."""

    events: int
    """Named, and deleted."""
    fall: int
    """Places without them."""
    fall_of_others: int
    """Places without as many others."""


class Found(NamedTuple):
    """What came of asking many people."""

    people: int
    cases: Sequence[Case]
    without_events: int
    """People whose item was given no event as a reason, so that there was nothing to delete."""

    @property
    def share(self) -> float:
        """Of the cases in which the item fell further without the named events."""
        return float(np.mean([one.fall > one.fall_of_others for one in self.cases]))

    def row(self) -> dict[str, Any]:
        """The figures, with an interval of 95 % by Wilson (1927)."""
        low, high = _wilson(self.share, len(self.cases))
        return {
            "people": self.people,
            "cases": len(self.cases),
            "no event named": self.without_events,
            "further": round(self.share, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "ties": round(float(np.mean([one.fall == one.fall_of_others for one in self.cases])), 4),
            "events": round(float(np.mean([one.events for one in self.cases])), 2),
            "median fall": float(np.median([one.fall for one in self.cases])),
            "median fall of others": float(np.median([one.fall_of_others for one in self.cases])),
        }


def measure(pipeline: Pipeline, people: People, count: int, seed: int = 0) -> Found:
    """Ask `count` people with at least `FEWEST_EVENTS` events, drawn evenly, one item each."""
    moment = pipeline.bundle.statistics.newest + 1
    known = [user for user in people.user_ids if _events_read(pipeline, people.person(user)) >= FEWEST_EVENTS]
    draw = np.random.default_rng(seed)
    asked = [str(one) for one in draw.permutation(known)[:count]]
    found = [
        case_of(pipeline, people.person(user), moment, np.random.default_rng([seed, zlib.crc32(user.encode())]))
        for user in asked
    ]
    cases = [one for one in found if one is not None]
    return Found(len(asked), cases, len(asked) - len(cases))


def case_of(pipeline: Pipeline, person: Person, moment: int, draw: np.random.Generator) -> Case | None:
    """One item of the person's list, drawn; None when none of the person's events is a reason for it."""
    items = pipeline.recommend(person, Query(k=LIST, explain=True), moment).items
    item = items[int(draw.integers(len(items)))]
    named = {reason.item_id for reason in item.reasons if reason.item_id is not None}
    events = np.array([place for place, one in enumerate(person.events.item_ids) if one in named], dtype=np.int64)
    if len(events) == 0 or 2 * len(events) > len(person.events):
        return None
    others = like_age(events, len(person.events), draw)
    before, without, without_others = (
        place_of(pipeline, one, item.item_id, moment)
        for one in (person, without_events(person, events), without_events(person, others))
    )
    return Case(len(events), without - before, without_others - before)


def place_of(pipeline: Pipeline, person: Person, item_id: str, moment: int) -> int:
    """The item's place in the longest list; when it is not there, behind it by its place among the whole catalogue."""
    shown = [one.item_id for one in pipeline.recommend(person, Query(k=MAX_K), moment).items]
    if item_id in shown:
        return shown.index(item_id)
    whole = pipeline.rank(person, pipeline.bundle.schema.items.ids, Query(), moment).items
    return len(shown) + [one.item_id for one in whole].index(item_id)


def without_events(person: Person, places: IntArray) -> Person:
    """The record as if some of its events had never been: what was taken with them alone is not taken either."""
    events = person.events
    kept = np.delete(np.arange(len(events)), places).tolist()
    left = Events(
        item_ids=[events.item_ids[one] for one in kept],
        types=[events.types[one] for one in kept],
        moments=events.moments[kept],
        values=events.values[kept],
        contexts=None if events.contexts is None else [events.contexts[one] for one in kept],
    )
    return replace(person, events=left, taken=_still_taken(person, left, places.tolist()))


def _still_taken(person: Person, left: Events, places: Sequence[int]) -> Taken | None:
    if person.taken is None:
        return None
    deleted = {(person.events.item_ids[one], person.events.types[one]) for one in places}
    gone = deleted - set(zip(left.item_ids, left.types, strict=True))
    pairs = list(zip(person.taken.item_ids, person.taken.types, strict=True))
    kept = [place for place, pair in enumerate(pairs) if pair not in gone]
    return Taken([pairs[one][0] for one in kept], [pairs[one][1] for one in kept], person.taken.moments[kept])


def like_age(named: IntArray, length: int, draw: np.random.Generator) -> IntArray:
    """For each named event one that is not named, near to it in the history; no event twice."""
    free = sorted(set(range(length)) - set(named.tolist()))
    chosen = []
    for place in named.tolist():
        near = sorted(free, key=lambda one: abs(one - place))[:NEIGHBOURS]
        chosen.append(near[int(draw.integers(len(near)))])
        free.remove(chosen[-1])
    return np.array(sorted(chosen), dtype=np.int64)


def _events_read(pipeline: Pipeline, person: Person) -> int:
    rows = pipeline.bundle.schema.items.rows(person.events.item_ids)
    return int((rows > 1).sum())


def _wilson(share: float, cases: int, z: float = 1.96) -> tuple[float, float]:
    middle = (share + z**2 / (2 * cases)) / (1 + z**2 / cases)
    half = z * np.sqrt(share * (1 - share) / cases + z**2 / (4 * cases**2)) / (1 + z**2 / cases)
    return float(middle - half), float(middle + half)


@click.command()
@click.option("--bundle", envvar="TAILORBIRD_PERSON_BUNDLE", type=click.Path(exists=True, path_type=Path))
@click.option("--config", envvar="TAILORBIRD_PERSON_CONFIG", type=click.Path(exists=True, path_type=Path))
@click.option("--people", "count", default=500, show_default=True, help="How many people to ask.")
@click.option("--name", default="simulator", show_default=True, help="Of the row in faithfulness.json.")
@click.option("--run", default="var/bench/person", show_default=True, type=click.Path(path_type=Path))
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of the figures and RESULTS.md.")
def main(bundle: Path | None, config: Path | None, *, count: int, name: str, run: Path, results: Path) -> None:
    """Measure, print, and keep the figures; without a bundle and its config, of a simulated world in the run folder."""
    if bundle is None or config is None:
        bundle, config = simulated(run)
    read, folder = read_training_config(config)
    people = People(read.dataset, load_tables(read.dataset, folder))
    about = about_now("", f"python -m benchmarks.person.faithfulness --people {count} --name '{name}'")
    row = measure(Pipeline(open_bundle(bundle)), people, count).row()
    put(results, "faithfulness", name, {**row, "about": about}, FILE)
    click.echo(json.dumps(row, indent=1))


def simulated(run: Path) -> tuple[Path, Path]:
    """The bundle and the config of the world that `tailorbird demo` makes, trained unless it lies there."""
    config = run / "world" / "config.yaml"
    if not config.exists():
        simulate(SimulatorSettings.parse({"events": 60_000}), config.parent)
        with config.open("a", encoding="utf-8") as file:
            file.write((HERE.parents[1] / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    bundle = run / "run" / "bundle"
    return (bundle if bundle.exists() else train(*read_training_config(config), run / "run")), config


if __name__ == "__main__":
    main()

"""The growth curve: what a catalogue and a log cost as they grow, drawn, and carried on to 100M items and 10B events.

Items: the index is built again on the bundle's own vectors, and the bundle answers in a process that maps it. Events:
`tailorbird prepare` with Polars. Each size in processes of its own. What is measured becomes rows of results.json, a
plot, and the section of docs/scaling.md between its marks.
"""

import json
import shutil
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

from benchmarks.operate.curve import write_curve
from benchmarks.operate.event_files import write_events
from benchmarks.operate.processes import MB, measured_apart, peak_mb, resident_mb, run, timed
from benchmarks.operate.results import Row, about_now, put
from benchmarks.serving.world import FOLDER, SIZES, build_world
from serving.answers import Query
from serving.bundle import open_bundle
from serving.catalogue import Catalogue
from serving.pipeline import Pipeline
from serving.retrieval.index import ItemIndex
from training.export.golden import simulated_people

ITEMS = "10000,100000,1000000"
EVENTS = "1000000,5000000,25000000"
PEOPLE = 250
WARM = 50


@click.command()
@click.option("--items", default=ITEMS, show_default=True, help="Sizes of the catalogue.")
@click.option("--events", default=EVENTS, show_default=True, help="Sizes of the log.")
@click.option("--folder", default="var/bench/growth", show_default=True, type=click.Path(path_type=Path))
@click.option("--part", hidden=True)
@click.option("--note", default="", help="What the load of the machine does not say.")
def main(items: str, events: str, folder: Path, part: str | None, note: str) -> None:
    """Measure, and write rows of results.json, the page, the plot and the section."""
    parts, folder = {"index": build_index, "answers": answer}, folder.resolve()
    if part:
        click.echo(json.dumps(parts[part](bundle_of(int(items), folder))))
        return
    for size in _sizes(items):
        about = about_now("benchmarks.operate.growth", note)
        build_world(size, bundle_of(size, folder).parent)
        figures: dict[str, Any] = {}
        for name in parts:
            asked = ["--items", size, "--folder", folder, "--part", name]
            figures |= measured_apart("benchmarks.operate.growth", *asked)
        put(Row(study="growth", name=f"{size:,} items", figures={"items": size, **figures}, about=about))
        click.echo(f"{size:,} items: {json.dumps(figures)}")
    for size in _sizes(events):
        about = about_now("benchmarks.operate.growth", note)
        figures = prepare_events(size, folder / "events")
        put(Row(study="growth", name=f"{size:,} events", figures={"events": size, **figures}, about=about))
        click.echo(f"{size:,} events: {json.dumps(figures)}")
    write_curve()


def _sizes(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def bundle_of(items: int, folder: Path) -> Path:
    """Where the bundle of so many items lies: with those of bench-serving, if that has one of the size."""
    known = {size: FOLDER / name for name, size in SIZES.items()}
    return known.get(items, folder / f"{items}-items") / "bundle"


def build_index(bundle: Path) -> dict[str, Any]:
    """Build the index that was chosen for a bundle again, from its vectors."""
    trials = json.loads((bundle / "index.json").read_text(encoding="utf-8"))
    chosen = next((one for one in trials if one["chosen"]), None)
    vectors = np.asarray(Catalogue.load(bundle / "catalogue").vectors)
    if chosen is None or chosen["codes"] == "exact":
        _, seconds = timed(lambda: ItemIndex.build(vectors))
        return {"index": "exact", "build of the index, s": round(seconds, 2), "its peak, MB": round(peak_mb())}
    _, seconds = timed(lambda: ItemIndex.train(vectors, chosen["cells"], chosen["codes"]))
    kind = f"{chosen['cells']} cells, {chosen['codes']}"
    return {"index": kind, "build of the index, s": round(seconds, 2), "its peak, MB": round(peak_mb())}


def answer(path: Path) -> dict[str, Any]:
    """Open a bundle, verified, and answer people in process, one after another."""
    before = resident_mb()
    bundle, opened = timed(lambda: open_bundle(path))
    pipeline = Pipeline(bundle)
    people = (one for seed in range(PEOPLE) for one in simulated_people(bundle, seed))
    milliseconds, searched = [], []
    for person, moment in islice(people, PEOPLE):
        begun = perf_counter()
        told = pipeline.recommend(person, Query(k=20), moment)
        milliseconds.append(1000 * (perf_counter() - begun))
        searched.append(told.timings["retrieve"])
    held = {name: now - before[name] for name, now in resident_mb().items()}
    return {
        "open, s": round(opened, 2),
        "answer p50, ms": round(float(np.median(milliseconds[WARM:])), 2),
        "answer p99, ms": round(float(np.quantile(milliseconds[WARM:], 0.99)), 2),
        "candidates p50, ms": round(float(np.median(searched[WARM:])), 2),
        "own, MB": round(held["own"], 1),
        "mapped, MB": round(held["mapped"], 1),
        "bundle, MB": round(sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) / MB, 1),
    }


def prepare_events(events: int, folder: Path) -> dict[str, Any]:
    """Draw a log, prepare it by the command, and forget it."""
    shutil.rmtree(folder, ignore_errors=True)
    config = write_events(folder, events)
    ran = run("-m", "tailorbird", "prepare", "--config", config)
    written = sum(one.stat().st_size for one in (folder / "prepared").rglob("*") if one.is_file())
    read = sum(one.stat().st_size for one in (folder / "log").iterdir())
    shutil.rmtree(folder)
    return {
        "prepare, s": round(ran.seconds, 1),
        "its peak (PSS), MB": round(ran.peak_mb),
        "log, MB": round(read / MB, 1),
        "prepared, MB": round(written / MB, 1),
    }


if __name__ == "__main__":
    main()

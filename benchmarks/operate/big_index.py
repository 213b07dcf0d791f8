"""An index past memory: product codes in shards on disk, put in order by mapped vectors, beside an exact search.

Items lie around centres as those of benchmarks/serving do, a tenth of them anywhere; people lie near an item. The
vectors are written to disk a block at a time, the index is built by a process that maps them, and searched by another
that maps both. What is wanted: 99 % of the 500 nearest.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.operate.processes import MB, measured_apart, peak_mb, resident_mb, timed
from benchmarks.operate.results import Row, about_now, put, read, told
from benchmarks.operate.scaling_page import fill
from benchmarks.serving.shop import WITHOUT_EVENTS, groups_of
from benchmarks.serving.world import SPREAD
from features.arrays import FloatArray, IntArray, mapped
from features.vocabulary import RESERVED
from serving.retrieval.bitmap import pack
from serving.retrieval.eligibility import Eligible
from serving.retrieval.index import PROBES as INDEX_PROBES
from serving.retrieval.index import ItemIndex
from serving.retrieval.shards import BLOCK
from training.export.index_choice import DEPTH, FLOOR, PROBES, asked_of, cells_of

DIM = 64
QUERIES = 200


@click.command()
@click.option("--items", default=5_000_000, show_default=True, type=click.IntRange(20_000))
@click.option("--codes", default="PQ32", show_default=True, help="FAISS's name of the codes.")
@click.option("--shards", default=4, show_default=True, type=click.IntRange(1, 256))
@click.option("--folder", default="var/bench/index", show_default=True, type=click.Path(path_type=Path))
@click.option("--part", type=click.Choice(["draw", "build", "search", "start"]), hidden=True)
@click.option("--note", default="", help="What the load of the machine does not say.")
def main(items: int, codes: str, shards: int, folder: Path, part: str | None, note: str) -> None:
    """Measure, and write a row of results.json and the page."""
    place = folder.resolve() / str(items)
    parts: dict[str, Callable[[], dict[str, Any]]] = {}
    parts |= {"draw": lambda: draw_world(items, place), "build": lambda: build(place, codes, shards)}
    parts |= {"search": lambda: search(place), "start": lambda: start(place)}
    if part:
        click.echo(json.dumps(parts[part]()))
        return
    about = about_now("benchmarks.operate.big_index", note)
    figures: dict[str, Any] = {}
    for name in parts:
        if name == "draw" and (place / "truth.npy").exists():
            continue
        if name == "start":
            forget(place)
        asked = ["--items", items, "--codes", codes, "--shards", shards, "--folder", folder.resolve(), "--part", name]
        figures |= measured_apart("benchmarks.operate.big_index", *asked)
        click.echo(f"{name}: {json.dumps(figures)}")
    met = bool(figures["recall at 500"] >= FLOOR)
    name = f"{items:,} items, {codes}, {shards} shards"
    put(Row(study="index", name=name, figures=figures, target=f"recall {FLOOR}", met=met, about=about))
    fill("index", list(table([row for row in read() if row.study == "index"])))


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each figure, a column for each run."""
    yield f"| | {' | '.join(row.name for row in rows)} |"
    yield f"|---|{'---:|' * len(rows)}"
    for name in dict.fromkeys(name for row in rows for name in row.figures):
        yield f"| {name} | {' | '.join(told(row.figures.get(name)) for row in rows)} |"


def draw_world(items: int, place: Path, seed: int = 0) -> dict[str, Any]:
    """Write vectors.npy, float32 [R, D], what is asked, float32 [Q, D], and what is nearest to it, int64 [Q, 500]."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    centres = _unit(draw.normal(size=(groups_of(items), DIM)).astype(np.float32))
    vectors = open_memmap(place / "vectors.npy", mode="w+", dtype=np.float32, shape=(items + RESERVED, DIM))
    for start in range(RESERVED, len(vectors), BLOCK):
        count = min(BLOCK, len(vectors) - start)
        around = centres[draw.integers(0, len(centres), count)]
        around[draw.random(count) < WITHOUT_EVENTS] = 0.0
        vectors[start : start + count] = _unit(around + _noise(draw, count))
    vectors.flush()
    queries = _unit(vectors[np.sort(draw.choice(len(vectors), QUERIES, replace=False))] + _noise(draw, QUERIES) / 2)
    np.save(place / "queries.npy", queries)
    np.save(place / "truth.npy", np.stack(asked_of(vectors, queries).truth))
    return {}


def _noise(draw: np.random.Generator, count: int) -> FloatArray:
    return draw.standard_normal((count, DIM), dtype=np.float32) * np.float32(SPREAD * DIM**-0.5)


def _unit(vectors: np.ndarray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def build(place: Path, codes: str, shards: int) -> dict[str, Any]:
    """Build the index from mapped vectors, a shard in memory at a time, and say what it cost."""
    vectors = mapped(place / "vectors.npy")
    spilled = place / "spilled"
    shutil.rmtree(spilled, ignore_errors=True)
    for old in place.glob("index*"):
        old.unlink()
    before = resident_mb()["own"]
    index, seconds = timed(
        lambda: ItemIndex.train(vectors, cells_of(len(vectors)), codes, shards=shards, folder=spilled)
    )
    index.save(place / "index.faiss")
    shutil.rmtree(spilled)
    return {
        "cells": index.cells,
        "build, s": round(seconds, 1),
        "peak of the build, own and mapped, MB": round(peak_mb()),
        "own after the build, MB": round(resident_mb()["own"] - before),
        "index, MB": round(sum(one.stat().st_size for one in place.glob("index*.faiss")) / MB, 1),
        "vectors, MB": round(vectors.nbytes / MB, 1),
    }


def search(place: Path) -> dict[str, Any]:
    """Search the mapped index in the fewest cells that find enough, which are written beside it."""
    queries, truth = np.load(place / "queries.npy"), np.load(place / "truth.npy")
    index = ItemIndex.load(place / "index.faiss", mapped(place / "vectors.npy"))
    everything = _eligible(place, 1.0)
    for probes in (one for one in PROBES if one <= index.cells):
        probed = index.with_probes({DEPTH: probes})
        found, warm = _ask(probed, queries, everything)
        recall = _share(found, truth)
        if recall >= FLOOR:
            break
    _, few = _ask(probed, queries, _eligible(place, 0.1))
    bare = [probed._index.search(query, DEPTH, everything.bitmap, probes) for query in queries]
    (place / "index").with_suffix(INDEX_PROBES).write_text(json.dumps(probed.probes), encoding="utf-8")
    return {
        "probes": probes,
        "recall at 500": round(recall, 4),
        "recall by codes alone": round(_share(bare, truth), 4),
        "p50, ms": round(float(np.median(warm)), 2),
        "p99, ms": round(float(np.quantile(warm, 0.99)), 2),
        "p50 with 10 % eligible, ms": round(float(np.median(few)), 2),
    }


def forget(place: Path) -> None:
    """Let the system drop what it has read of the files, as after a start of the machine."""
    for path in (*place.glob("index*.faiss"), place / "vectors.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(place: Path) -> dict[str, Any]:
    """Ask each query once of files that nobody has read, and say what was then in memory."""
    queries, before = np.load(place / "queries.npy"), resident_mb()
    index, seconds = timed(lambda: ItemIndex.load(place / "index.faiss", mapped(place / "vectors.npy")))
    _, cold = _ask(index, queries, _eligible(place, 1.0))
    held = {name: now - before[name] for name, now in resident_mb().items()}
    return {
        "open, s": round(seconds, 3),
        "p50 of first reads, ms": round(float(np.median(cold)), 2),
        "p99 of first reads, ms": round(float(np.quantile(cold, 0.99)), 2),
        "own (PSS), MB": round(held["own"], 1),
        "mapped (PSS), MB": round(held["mapped"], 1),
    }


def _eligible(place: Path, share: float) -> Eligible:
    mask = np.random.default_rng(1).random(len(mapped(place / "vectors.npy"))) < share
    mask[:RESERVED] = False
    return Eligible(pack(mask))


def _ask(index: ItemIndex, queries: FloatArray, eligible: Eligible) -> tuple[list[IntArray], list[float]]:
    """The rows of each answer, and its milliseconds."""
    found, milliseconds = [], []
    for query in queries:
        begun = perf_counter()
        found.append(index.search(query, DEPTH, eligible))
        milliseconds.append(1000 * (perf_counter() - begun))
    return found, milliseconds


def _share(found: Sequence[IntArray], truth: IntArray) -> float:
    """Mean share of what is nearest that was found."""
    return float(np.mean([np.isin(expected, rows).mean() for rows, expected in zip(found, truth, strict=True)]))


if __name__ == "__main__":
    main()

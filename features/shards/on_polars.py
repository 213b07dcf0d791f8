"""Preparing with Polars on one machine: events are streamed into a file for each range of users, never all in memory.

Each file is then decoded by itself, in as many processes as there are cores; memory is bounded by the part's size.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from features.dataset import DatasetConfig
from features.event_loading import canonical_rows
from features.frames import Frame, engine_errors, unreadable
from features.shards.layout import Part, part_file
from features.shards.parts import without, write_rows

ALONE = 10_000_000
"""Bytes of events below which one process decodes them all: further ones take a second to start."""
_SCRATCH = ".scattered"


def write_on_polars(dataset: DatasetConfig, frame: Frame, output: Path, part_events: int) -> list[Part]:
    """The parts of a lazy Polars frame, of about `part_events` events each."""
    with _scratch(output) as scratch:
        try:
            files = _scatter(canonical_rows(dataset, frame).to_native(), scratch, part_events)
        except engine_errors() as error:
            raise unreadable("the table", error, "dataset.events.path") from None
        targets = [output / part_file(number) for number in range(len(files))]
        parts = _decode(dataset, files, targets)
    return parts if dataset.events.id is None else _once(dataset, output, parts)


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    scratch = output / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _scatter(rows: Any, scratch: Path, part_events: int) -> list[list[Path]]:
    """The files with the rows of each part, in the order of users; rows without a user go to the first."""
    import polars as pl

    counts = rows.group_by("user").agg(pl.len().alias("events")).collect(engine="streaming").sort("user")
    part = ((pl.col("events").cum_sum() - 1) // part_events).rle_id().cast(pl.UInt32).alias("part")
    parts = counts.with_columns(part).select("user", "part")
    (
        rows.join(parts.lazy(), on="user", how="left", nulls_equal=True).sink_parquet(
            pl.PartitionBy(scratch, key="part", include_key=False, approximate_bytes_per_file=1 << 50),
            compression="lz4",
            maintain_order=False,
            engine="streaming",
        )
    )
    number = 0 if parts.is_empty() else int(parts["part"][-1]) + 1
    return [sorted((scratch / f"part={one}").iterdir()) for one in range(number)]


def _decode(dataset: DatasetConfig, files: list[list[Path]], targets: list[Path]) -> list[Part]:
    """Write every part, in processes of their own where that is worth their start."""
    work = [dataset] * len(files), files, targets
    if sum(one.stat().st_size for each in files for one in each) < ALONE:
        return list(map(_write, *work))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        return list(pool.map(_write, *work))


def _write(dataset: DatasetConfig, files: list[Path], target: Path) -> Part:
    part = write_rows(dataset, pq.ParquetDataset(files, partitioning=None).read(), target)
    for file in files:
        file.unlink()
    return part


def _once(dataset: DatasetConfig, output: Path, parts: list[Part]) -> list[Part]:
    """Leave an event id that several users have to the first of them, as a load does; 8 bytes an event in memory."""
    hashes = [_hashes(output / part.file) for part in parts]
    distinct, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]), return_counts=True)
    suspected = distinct[counts > 1]
    if not len(suspected):
        return parts
    seen: Counter[str] = Counter()
    kept = []
    for part, found in zip(parts, hashes, strict=True):
        path = output / part.file
        places = np.flatnonzero(np.isin(found, suspected))
        ids = pq.read_table(path, columns=["id"])["id"].take(places).to_pylist()
        again = {one for one in ids if seen[one]}
        seen.update(ids)
        kept.append(without(path, again, len(dataset.types)) if again else part)
    return kept


def _hashes(path: Path) -> np.ndarray:
    """uint64 [N] of the event ids of a part."""
    import polars as pl

    hashed: np.ndarray = pl.read_parquet(path, columns=["id"])["id"].hash().to_numpy()
    return hashed

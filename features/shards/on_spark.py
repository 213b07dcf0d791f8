"""Preparing with Spark: the cluster brings the events of a range of users together, and each task writes its part.

Executors run this package and write to `output`, so they need it installed and a file system that all machines share.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError
from features.event_loading import canonical_rows
from features.frames import Frame, engine_errors, unreadable
from features.shards.layout import Part, part_file
from features.shards.parts import without, write_rows

_SUMMARY = "file string, users long, events long, types array<long>, error string, field string, hint string"


def start_spark(master: str | None) -> None:
    """Make the session that reading uses. Raises `ConfigError` where there is no PySpark, or none of that master."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ConfigError(
            "engine spark needs PySpark, which is not installed",
            field="tables.engine",
            hint="pip install -c requirements/dev.txt -e '.[spark]', and Java 17.",
        ) from None
    if master is not None and master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers of this machine, with what is installed here
    builder = SparkSession.builder.appName("tailorbird prepare").config("spark.sql.session.timeZone", "UTC")
    (builder if master is None else builder.master(master)).getOrCreate()


def write_on_spark(dataset: DatasetConfig, frame: Frame, output: Path, part_events: int) -> list[Part]:
    """The parts of a Spark frame, of about `part_events` events each. Raises `DataError` as a load does."""
    try:
        parts = _write(dataset, canonical_rows(dataset, frame).to_native(), output, part_events)
        return parts if dataset.events.id is None else _once(dataset, output, parts)
    except engine_errors() as error:
        raise unreadable("the table", error, "dataset.events.path") from None


def _write(dataset: DatasetConfig, rows: Any, output: Path, part_events: int) -> list[Part]:
    folder = str(output.resolve())

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One task: all rows of a range of users. A bad row is told, not thrown: tasks would be tried again."""
        from pyspark import TaskContext

        rows = [batch for batch in batches if batch.num_rows]
        if not rows:
            return
        path = Path(folder) / part_file(TaskContext.get().partitionId())
        summary: dict[str, Any] = {"file": path.name, "users": 0, "events": 0, "types": []}
        try:
            summary |= write_rows(dataset, pa.Table.from_batches(rows), path)._asdict()
        except DataError as error:
            summary |= {"error": error.message, "field": error.field, "hint": error.hint}
        empty = dict.fromkeys(("error", "field", "hint"))
        yield pa.RecordBatch.from_pylist([{**empty, **summary, "types": list(summary["types"])}], _arrow())

    number = max(1, -(-rows.count() // part_events))
    told = rows.repartitionByRange(number, "user").mapInArrow(write, _SUMMARY).collect()
    for one in told:
        if one.error is not None:
            raise DataError(one.error, field=one.field, hint=one.hint)
    return sorted(Part(one.file, one.users, one.events, tuple(one.types)) for one in told)


def _arrow() -> pa.Schema:
    texts = {name: pa.string() for name in ("error", "field", "hint")}
    counts = {"users": pa.int64(), "events": pa.int64(), "types": pa.list_(pa.int64())}
    return pa.schema({"file": pa.string(), **counts, **texts})


def _once(dataset: DatasetConfig, output: Path, parts: list[Part]) -> list[Part]:
    """Leave an event id that several users have to the first of them, as a load does."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    spark = SparkSession.builder.getOrCreate()
    ids = spark.read.parquet(*(str(output / part.file) for part in parts))
    ids = ids.select("id", F.element_at(F.split(F.input_file_name(), "/"), -1).alias("file"))
    repeated = ids.groupBy("id").agg(F.collect_list("file").alias("files")).where(F.size("files") > 1)
    again: dict[str, set[str]] = {}
    for row in repeated.toLocalIterator():
        for file in sorted(row.files)[1:]:
            again.setdefault(file, set()).add(row.id)
    return [
        without(output / part.file, again[part.file], len(dataset.types)) if part.file in again else part
        for part in parts
    ]

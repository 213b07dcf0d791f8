"""The `tables` section of a configuration: which engine reads tables, and where prepared events lie."""

from pydantic import Field

from features.frames import Engine
from features.strict import StrictConfig


class TablesConfig(StrictConfig):
    """How tables are read; none of it changes what a training makes of them."""

    engine: Engine = "pandas"
    """What reads, checks and orders: `pandas` in memory; `duckdb`; `polars`, for more events than memory holds on one
    machine; `spark`, on a cluster."""
    prepared: str | None = None
    """Folder of the events that `tailorbird prepare` wrote, relative to the folder of the config file. Training reads
    it in place of `dataset.events.path`; without it, training reads the table itself."""
    part_events: int = Field(default=500_000, ge=1)
    """About how many events `prepare` puts into one file; a process holds one such file in memory."""
    spark_master: str | None = None
    """Address of the Spark master, such as `spark://host:7077`; by default that of Spark's own configuration."""

"""How items are searched, as a configuration says it."""

from typing import Literal

from pydantic import Field

from features.strict import StrictConfig


class IndexConfig(StrictConfig):
    """How items are searched. Up to 10,000 items are all looked at, whatever stands here."""

    kind: Literal["auto", "exact", "ivf", "ivfpq"] = "auto"
    """`auto` looks at all items up to 100,000 and measures above: the smallest of the fastest indexes that find what an
    exact search finds. `exact` looks at all. `ivf` measures indexes of cells alone. `ivfpq` holds a half or a quarter
    of a byte for each number of a vector and puts what it finds in order by the mapped vectors: for catalogues past
    memory (docs/scaling.md)."""
    shards: int = Field(default=1, ge=1, le=256)
    """Files of an index, each of a range of items, whose answers are merged: one at a time is in memory while an index
    is built and while changed items are merged."""

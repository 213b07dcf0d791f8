"""What a peer is asked, as JSON, and how it answers: lists.parquet and told.json in its output folder."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd


class Job(NamedTuple):
    """One peer on one data set."""

    system: str
    train: str
    """Table of user_id, item_id and position, the order of each user's events."""
    holdout: str
    """Users to recommend to; the items in it are not read."""
    output: str
    seed: int
    k: int
    budget_seconds: float
    shape: dict[str, float]
    """dim, blocks, heads, dropout and length of a neural model."""
    epochs: int = 0
    """Where above 0: fit so many epochs without validation, tell their seconds, and make no lists."""

    @classmethod
    def of_command(cls) -> "Job":
        """The job whose path is the first argument."""
        return cls(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

    def events(self) -> pd.DataFrame:
        """user_id, item_id and position, in order."""
        frame = pd.read_parquet(self.train, columns=["user_id", "item_id", "position"])
        return frame.sort_values(["user_id", "position"], kind="stable", ignore_index=True)

    def users(self) -> list[int]:
        """For whom lists are wanted."""
        return list(dict.fromkeys(pd.read_csv(self.holdout, usecols=["user_id"])["user_id"].tolist()))

    def write_lists(self, users: Sequence[int], items: Sequence[int], ranks: Sequence[int]) -> None:
        """Ranked lists, one row for each place."""
        frame = pd.DataFrame({"user_id": users, "item_id": items, "rank": ranks})
        frame.to_parquet(Path(self.output) / "lists.parquet", index=False)

    def tell(self, train_seconds: float, detail: dict[str, Any], **config: Any) -> None:
        """What fitting took, what came out on the way, and with which settings."""
        told = {"train_seconds": train_seconds, "detail": detail, **config}
        (Path(self.output) / "told.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

"""A world whose log arrives in parts."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from training.retrain.retrain import retrain
from training.simulator import SimulatorSettings, simulate


class Shop:
    """A world whose log arrives in two files."""

    def __init__(self, folder: Path, settings: dict[str, Any], sections: dict[str, Any]) -> None:
        self.world, self.spoiled = folder / "world", folder / "spoiled"
        self.runs, self.registry = folder / "runs", folder / "registry"
        config = simulate(SimulatorSettings.parse(settings), self.world)
        simulate(SimulatorSettings.parse({**settings, "shuffled": 1.0}), self.spoiled)
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        content["dataset"]["events"]["path"] = "events-*.parquet"
        self.config = self.world / "shop.yaml"
        self.config.write_text(yaml.safe_dump({**content, **sections}), encoding="utf-8")

    def deliver(self, number: int, first: float, last: float, *, spoiled: bool = False) -> None:
        """Write the events of a part of the window, by time, as one file."""
        folder = self.spoiled if spoiled else self.world
        events = pd.read_parquet(folder / "events.parquet").sort_values("timestamp", kind="stable")
        part = events[int(first * len(events)) : int(last * len(events))]
        part.to_parquet(self.world / f"events-{number}.parquet")

    def retrain(self) -> Any:
        return retrain(self.config, self.runs, self.registry)

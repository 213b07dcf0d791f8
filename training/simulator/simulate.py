"""`tailorbird simulate`: a world, written as tables, with the configuration that reads them."""

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from features.arrays import BoolArray, IntArray
from training.simulator.behaviour import Behaviour
from training.simulator.draws import PopularityDraw
from training.simulator.latent import stream
from training.simulator.log import record
from training.simulator.null import redraw
from training.simulator.recipe import write_config
from training.simulator.sessions import count_sessions, plan_sessions
from training.simulator.settings import SimulatorSettings
from training.simulator.spoiled import spoil
from training.simulator.tables import EventWriter, write_items, write_people
from training.simulator.world import World

_CELLS = 8_000_000
"""People times items that a batch may hold at once; 8 bytes each."""


def simulate(settings: SimulatorSettings, directory: Path, *, progress: bool = False) -> Path:
    """Write a simulated world into `directory` (made if missing), and return the path of its `config.yaml`.

    Beside it: `events.parquet`, `users.parquet`, `user_plans.parquet`, `links.parquet`, `items.parquet`,
    `item_prices.parquet`, and `simulation.json` with every setting, the end among them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    world = World.from_settings(settings)
    events, seen_before_login = _write_events(world, directory / "events.parquet", progress)
    write_people(world, seen_before_login, directory)
    write_items(world, directory)
    recorded = {**settings.model_dump(mode="json"), "written_events": events}
    (directory / "simulation.json").write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    config = directory / "config.yaml"
    write_config(settings, config)
    return config


def _write_events(world: World, path: Path, progress: bool) -> tuple[int, BoolArray]:
    """Live through the window batch by batch: how many events, and bool [U] who was seen before a login."""
    seed, behaviour, everything = world.settings.seed, Behaviour(world), PopularityDraw(world)
    counts = count_sessions(world)
    bar = tqdm(total=int(counts.sum()), desc="sessions", unit="", unit_scale=True, disable=not progress)
    with bar, EventWriter(world, path) as writer:
        for number, users in enumerate(_batches(counts, len(world.catalogue))):
            rng = stream(seed, 5, number)
            sessions = plan_sessions(world, users, counts[users], rng)
            log = record(world, sessions, *behaviour.walk(sessions, rng), rng)
            if world.settings.world == "null":
                log = redraw(world, log, everything, rng)
            if world.settings.shuffled:
                log = spoil(world.settings, log, rng)
            writer.write(log, sessions)
            bar.update(len(sessions))
    return writer.rows, writer.seen_before_login


def _batches(counts: IntArray, items: int) -> list[IntArray]:
    """People who come at all, the busiest first: those of a batch need about equally many rounds."""
    size = int(np.clip(_CELLS // items, 64, 1024))
    busiest = np.argsort(-counts, kind="stable")
    present = busiest[counts[busiest] > 0]
    return [np.sort(present[begin : begin + size]) for begin in range(0, len(present), size)]

"""A warm start beside a full training: what it costs and what it is worth, on the last tenth of the events.

Everybody's last wanted turn is held out from both. Of the rest, the last tenth (of each user's events where only an
order is known, else by time) came after the live bundle was made. A full training begins from nothing on all of the
rest, a warm one goes on from the live bundle; both are asked for what was held out.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.operate.results import About, Row, about_now, put
from features.arrays import BoolArray
from features.events import EventTable, Tables
from features.people import People
from training.config import TrainingConfig, read_training_config
from training.evaluation.metrics import Judged, accuracy, gains, paired_interval, per_user
from training.gate.asked import Asked, ask
from training.gate.gate import newest_moments
from training.run import checked_tables, train_on
from training.slices import C, cut, cut_moment
from training.stage import part_of
from training.warm import warm_bundle

LAST = 0.1
"""Share of the events that came after the live bundle was made."""


def held_out(config: TrainingConfig, tables: Tables) -> BoolArray:
    """bool [N]: everybody's last wanted turn."""
    people = People(config.dataset, tables)
    order = config.dataset.order.model_copy(update={"time": None, "sequence": "any"})
    last = cut(config.dataset.model_copy(update={"order": order}), people.events).codes == C
    return np.isin(tables.events.event_ids.astype(str), people.events.event_ids[last].astype(str))


def last_tenth(config: TrainingConfig, events: EventTable) -> BoolArray:
    """bool [N]: the newest events, by time, or of each user where only an order is known."""
    if config.dataset.timed:
        return np.asarray(events.moments >= cut_moment(events, 1 - LAST))
    late = np.zeros(len(events), dtype=bool)
    for _, start, stop in events.by_user():
        late[stop - int(np.ceil((stop - start) * LAST)) : stop] = True
    return late


def measure(config: TrainingConfig, tables: Tables, folder: Path, epochs: int) -> dict[str, Any]:
    """Train live, full and warm into `folder`, ask all three, and return the figures."""
    test = held_out(config, tables)
    rest = part_of(config.dataset, tables, ~test)
    live = train_on(config, part_of(config.dataset, rest, ~last_tenth(config, rest.events)), folder / "live")
    full, full_seconds = _timed(lambda: train_on(config, rest, folder / "full"))
    warm, warm_seconds = _timed(lambda: warm_bundle(config, rest, live, folder / "warm", epochs))
    moments = newest_moments(config, tables, test)
    events = People(config.dataset, tables).events
    bundles = {"live": live, "full": full, "warm": warm}
    asked = {name: ask(config, path, moments, events) for name, path in bundles.items()}
    k = config.evaluation.k
    ndcg = {name: _by_user(one, k) for name, one in asked.items()}
    return {
        "moments": len(moments),
        "epochs": epochs,
        "seconds": {"full": round(full_seconds, 1), "warm": round(warm_seconds, 1)},
        "time": round(warm_seconds / full_seconds, 4),
        "systems": {name: accuracy(Judged(*one.shown), k) for name, one in asked.items()},
        "warm_minus_full": paired_interval(ndcg["warm"], ndcg["full"], config.seed)._asdict(),
        "warm_minus_live": paired_interval(ndcg["warm"], ndcg["live"], config.seed)._asdict(),
        "items": {name: len(one.bundle.schema.items) for name, one in asked.items()},
    }


def _by_user(asked: Asked, k: int) -> np.ndarray:
    return per_user(gains(Judged(*asked.shown).ranks(), k), asked.shown.users)


def _timed(work: Callable[[], Path]) -> tuple[Path, float]:
    begun = time.monotonic()
    return work(), time.monotonic() - begun


def row_of(result: dict[str, Any], about: About) -> Row:
    """What was measured, as a row of the page; no worse than a full one is what its interval does not rule out."""
    gain, systems = result["warm_minus_full"], result["systems"]
    k = next(name for name in systems["full"] if name.startswith("ndcg"))
    return Row(
        study="warm_start",
        name=f"{result['epochs']} epochs on {result['moments']:,} held-out turns",
        figures={
            **{f"{k}, {name}": round(one[k], 4) for name, one in systems.items()},
            "warm minus full": f"{gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})",
            "full, s": result["seconds"]["full"],
            "warm, s": result["seconds"]["warm"],
            "share of the time": result["time"],
        },
        target="no worse than full, in ≤ 30 % of its time",
        met=result["time"] <= 0.3 and gain["high"] >= 0,
        about=about,
    )


@click.command()
@click.option("--config", default="configs/movielens-1m.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--folder", default="var/bench/operate", show_default=True, type=click.Path(path_type=Path))
@click.option("--epochs", type=click.IntRange(1), help="Epochs of the warm start; those of the config, if not given.")
def main(config: Path, folder: Path, epochs: int | None) -> None:
    """Measure, and write results.json and RESULTS.md beside this file."""
    about = about_now("benchmarks.operate.warm_start")
    settings, base = read_training_config(config)
    folder.mkdir(parents=True, exist_ok=True)
    tables = checked_tables(settings, base, folder)
    result = measure(settings, tables, folder, epochs or settings.retrain.warm_epochs)
    put(row_of(result, about))
    click.echo(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

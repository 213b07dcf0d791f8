"""Lists whose first slots are looked at most: how near to the truth a ranker comes that learns from what was taken.

A simulated world's people are shown lists by a policy, after the window on which a bundle was trained. Slot s is looked
at with chance 1 / s ** eta; what is looked at is taken by how much it is liked, and that is the truth. What was served,
shown and done is exported as `tailorbird export-log` does it, and the ranker's examples are made from the export. The
rankers are asked about everybody some hours later, through the pipeline: they order the candidates of the sources, and
NDCG@10 takes the true chance as the gain of an item.
"""

import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch

from benchmarks.studies.study import HERE, Found, Row, Table, as_markdown, provenance, record
from features.arrays import FloatArray
from features.config import read_config
from features.moments import DAY, HOUR
from features.people import People
from features.tables import load_tables
from models.config import RankerConfig
from models.ranker import PositionTower, Ranker
from serving.bundle import Bundle, open_bundle
from serving.events.commands import export_logs
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import fusion_weights, ranker_rows
from serving.retrieval.candidates import Candidates, retrieve
from serving.situation import Situation, situation
from serving.state import load_tables_into_state, open_state
from training.config import read_training_config
from training.evaluation.metrics import Doubles, paired_interval
from training.ranker.examples import Examples, make_examples
from training.ranker.fit import RankerFitConfig, fit_ranker, position_tower
from training.ranker.shown import ShownLists
from training.run import train
from training.simulator import SimulatorSettings, World, simulate
from training.simulator.exposing import (
    Exposed,
    ExposureSettings,
    Policy,
    by_model,
    by_model_with_noise,
    by_popularity,
    expose,
    liked,
)

K = 10
IGNORING, KNOWING, ORACLE = "slot ignored", "slot as input", "log without bias"
POLICIES = {"popular": by_popularity, "ranker": by_model, "ranker with noise": by_model_with_noise}
ABOUT = (
    "{events:,} events of {users:,} people with {items:,} items train a bundle; then {lists:,} lists of {slots} slots "
    "are shown by each policy, slot s looked at with chance 1 / s^{eta:g}. Rankers learn from the exported logs: "
    "{examples} items taken by policy, each against what was shown beside it and not taken. `{oracle}` learns from "
    "as many items of a log in which everybody looks at everything. {judged:,} people, their true liking of the "
    "candidates as gain; mean of {seeds} fits; differences are paired bootstraps over people, 95 %. The share of the "
    "way: 0 is the ranker that ignores the slot, 1 the one without bias; none where that one is not surely better."
)


class Truth(NamedTuple):
    """A question with known answers."""

    here: Situation
    candidates: Candidates
    gains: Doubles
    """float64 [K]: true chance that each candidate is taken by who looks at it."""


class Log(NamedTuple):
    """What a policy's lists taught."""

    exposed: Exposed
    examples: Examples


def questions(bundle: Bundle, world: World, people: People, days: int, limit: int) -> list[Truth]:
    """Users, at an hour after the last list was shown, as they were when the window ended."""
    moment = world.settings.end_moment + days * DAY + HOUR
    found = []
    for user in [one for one in people.user_ids if one.startswith("u")][:limit]:
        here = situation(bundle, people.person(user), moment)
        candidates = retrieve(here)
        items = np.array([int(bundle.schema.items.id_of(row)[1:]) for row in candidates.rows.tolist()])
        gains = liked(world, np.array([int(user[1:])]), items[None], np.array([moment]))[0]
        found.append(Truth(here, candidates, gains))
    return found


def ndcg(scores: FloatArray | Doubles, gains: Doubles, k: int = K) -> float:
    """NDCG@k of the order by scores float64 [K] where each item has a gain float64 [K]."""
    discounts = 1 / np.log2(np.arange(2, min(k, len(gains)) + 2))
    order = np.argsort(-scores, kind="stable")[:k]
    return float((gains[order] * discounts).sum() / (np.sort(gains)[::-1][:k] * discounts).sum())


def judged(ranker: Ranker, asked: list[Truth]) -> Doubles:
    """float64 [Q]: NDCG of the pipeline's order with this ranker in the place of its own."""
    found = []
    with torch.no_grad():
        for one in asked:
            feeds = ranker_rows(one.here, one.candidates)._asdict()
            logits = ranker(**{name: torch.from_numpy(value.copy())[None] for name, value in feeds.items()})[0].numpy()
            found.append(ndcg(Pipeline(one.here.bundle).expected(logits)[0], one.gains))
    return np.array(found)


def log_of(
    world: World, config: Path, bundle: Path, policy: Policy, settings: ExposureSettings, folder: Path, limit: int
) -> Log:
    """Show lists, export the logs, and make the ranker's examples of them; at most `limit`."""
    file = read_config(config)
    url = f"sqlite:///{folder}/state.db"
    folder.mkdir(parents=True)
    state = open_state(url)
    load_tables_into_state(state, load_tables(file.dataset, file.folder))
    exposed = expose(world, file.dataset, state, policy, settings, folder.name)
    state.close()
    export_logs(config, url, folder / "log", None)
    exported = read_config(folder / "log" / "dataset.yaml")
    tables = load_tables(exported.dataset, exported.folder)
    people = People(exported.dataset, tables)
    live = np.asarray(people.events.moments >= world.settings.end_moment)
    moments = ShownLists(exported.dataset, tables, people, live, within_hours=24.0).moments(limit, settings.seed)
    return Log(exposed, make_examples(bundle, moments, workers=1, label=folder.name))


class Fits:
    """Rankers of one bundle, each the same but for what it learns from."""

    def __init__(self, bundle: Bundle, shape: RankerConfig, config: RankerFitConfig, asked: list[Truth]) -> None:
        self._bundle, self._shape, self._config, self._asked = bundle, shape, config, asked
        self._vectors = np.asarray(bundle.catalogue.vectors)

    def fit(self, examples: Examples, seed: int, *, position: bool) -> tuple[Doubles, PositionTower | None]:
        """float64 [Q]: how near to the truth a ranker comes; and what it learned of slots."""
        heads = len(self._bundle.schema.heads)
        tower = position_tower(examples, self._config, heads) if position else None
        ranker = fit_ranker(
            examples,
            self._vectors,
            heads,
            self._shape,
            self._config,
            prior=fusion_weights(self._bundle.schema),
            seed=seed,
            position=tower,
        )
        return judged(ranker, self._asked), tower


def compared(fits: Fits, biased: Log, unbiased: Log, seeds: int) -> list[Row]:
    """A row for each ranker: NDCG, the difference to the one that ignores the slot, and the share of the way."""
    systems = {
        IGNORING: (biased.examples, False),
        KNOWING: (biased.examples, True),
        ORACLE: (unbiased.examples, False),
    }
    found = {
        name: np.mean([fits.fit(examples, seed, position=position)[0] for seed in range(seeds)], axis=0)
        for name, (examples, position) in systems.items()
    }
    whole = paired_interval(found[ORACLE], found[IGNORING], seed=0)
    return [
        {
            "ranker": name,
            f"NDCG@{K}": float(values.mean()),
            f"against `{IGNORING}`": None if name == IGNORING else paired_interval(values, found[IGNORING], seed=0),
            "share of the way": float((values - found[IGNORING]).mean()) / whole.mean if whole.low > 0 else None,
        }
        for name, values in found.items()
    ]


def slots_of(fits: Fits, log: Log, settings: ExposureSettings) -> list[Row]:
    """Of each slot how often it is looked at in truth and by the fitted tower, relative to the first, and the log."""
    _, tower = fits.fit(log.examples, 0, position=True)
    assert tower is not None
    learned = np.exp((tower.examined - tower.examined[0]).detach().numpy())
    taken = log.exposed.taken / np.maximum(log.exposed.shown, 1)
    return [
        {
            "slot": slot + 1,
            "looked at": float(settings.examined[slot]),
            "learned": float(learned[min(slot, len(learned) - 1)]),
            "taken of what was shown": float(taken[slot]),
        }
        for slot in range(settings.slots)
    ]


@click.command("position_bias")
@click.option("--events", default=60_000, show_default=True, type=click.IntRange(1_000), help="Of the world.")
@click.option("--lists", default=12_000, show_default=True, type=click.IntRange(100), help="Shown by each policy.")
@click.option("--slots", default=10, show_default=True, type=click.IntRange(2, 100), help="Items of a list.")
@click.option("--eta", default=1.0, show_default=True, type=click.FloatRange(0), help="How strong the bias is.")
@click.option("--people", default=1_000, show_default=True, type=click.IntRange(10), help="Judge at most so many.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Fits of each ranker.")
@click.option("--config", default="configs/demo.yaml", show_default=True, type=click.Path(exists=True, path_type=Path))
@click.option("--run", default="var/bench/studies", show_default=True, type=click.Path(path_type=Path))
@click.option("--output", default=HERE, type=click.Path(path_type=Path), help="Folder of results.json.")
def main(
    events: int, lists: int, slots: int, eta: float, people: int, seeds: int, config: Path, run: Path, output: Path
) -> None:
    """Measure what it earns that the ranker knows the slot in which an item was shown."""
    started, folder = time.time(), run / "position_bias" / f"{events}-{lists}-{slots}-{eta:g}"
    world = World.from_settings(SimulatorSettings.parse({"events": events, "end": "2026-06-01T12:00:00Z"}))
    path = _world_config(world, config, folder / "world")
    training, home = read_training_config(path)
    bundle_path = train(training, home, folder / "training")
    bundle, tables = open_bundle(bundle_path), load_tables(training.dataset, home)
    settings = ExposureSettings(lists=lists, slots=slots, eta=eta)
    asked = questions(bundle, world, People(training.dataset, tables), settings.days, people)
    fits = Fits(bundle, training.ranker, RankerFitConfig(), asked)
    found, examples = [], {}
    for name, policy in POLICIES.items():
        shown = policy(Pipeline(bundle))
        place = folder / f"{time.time_ns()}"
        biased = log_of(world, path, bundle_path, shown, settings, place / name, lists)
        fair = settings.model_copy(update={"eta": 0.0})
        unbiased = log_of(world, path, bundle_path, shown, fair, place / f"{name} without bias", len(biased.examples))
        examples[name] = len(biased.examples)
        found.append(Table(f"lists by {name}", compared(fits, biased, unbiased, seeds)))
        found.append(Table(f"slots of lists by {name}", slots_of(fits, biased, settings)))
    about = ABOUT.format(
        events=len(tables.events),
        users=len(world.people),
        items=len(world.catalogue),
        lists=lists,
        slots=slots,
        eta=eta,
        examples=", ".join(f"{count:,} ({name})" for name, count in examples.items()),
        oracle=ORACLE,
        judged=len(asked),
        seeds=seeds,
    )
    options = f"--events {events} --lists {lists} --slots {slots} --eta {eta:g} --people {people} --seeds {seeds}"
    told = provenance(f"python -m benchmarks.studies.position_bias {options}", config.name, time.time() - started)
    content = record("position_bias", "simulated", Found(about, tables.fingerprint, found), told, output)
    click.echo(as_markdown({"position_bias": {"simulated": content}}))


def _world_config(world: World, sections: Path, folder: Path) -> Path:
    """The configuration of a world that is simulated into a folder, once."""
    path = folder / "study.yaml"
    if not path.exists():
        text = simulate(world.settings, folder).read_text(encoding="utf-8") + sections.read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
    return path


if __name__ == "__main__":
    main()

"""What each input earns: trainings that differ in one input, on the same slices, moments and seed.

`inputs` and `time` judge on slice C, which ends a training without its refit; slices go by the rows, so that they are
the same whatever the models read. `types` drops rows, so that both of its trainings end at one moment in time, and
are judged on everything after it, each from what it may know of a person.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.studies.places import place_by, some, tower_scores, user_codes, whole_place
from benchmarks.studies.study import Asked, Found, Part, Row, Table, only_events, read_tables, study
from features.arrays import IntArray
from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.events import Tables
from features.people import People
from serving.bundle import Bundle
from serving.retrieval.candidates import retrieve
from serving.situation import situation
from training.config import TrainingConfig
from training.evaluation.judging import TOWERS, WHOLE
from training.evaluation.metrics import Judged, gains, paired_interval, per_user
from training.moments import Moment, moments_among
from training.ranker.examples import in_parallel
from training.run import FirstFit, first_fit
from training.slices import cut_moment
from training.stage import part_of

K = 10
SHARE = 0.9
TIMES = {"no time": "order", "+ gaps": "gaps", "+ hour and weekday": "clock"}
SLICE_C = (
    "Each row is a training of its own with the same seed, without the refit, judged at the same {moments:,} moments "
    "of {users:,} users on slice C, full catalogue. Intervals are paired bootstraps over users, minus the row before. "
    "Slice C also chose each row's number of epochs."
)
TYPES = (
    "Both rows are trained, without the refit, on what lies before the last tenth of the events by time, with the same "
    "seed, and judged at the same {moments:,} turns to another item after it, of {users:,} users, whatever the type; "
    "the first knows nothing but events of the type {first}, in training and of the person asked. Nobody's list spends "
    "a place on the item that they are looking at. Items that a model never saw count as misses. Intervals are paired "
    "bootstraps over users, minus the row before."
)

Ranks = Mapping[str, IntArray]
"""Place of each moment's target by system, int64 [M]."""


def inputs(asked: Asked) -> Found:
    """History only, then demographics, item attributes, and values beside it."""
    return _on_slice_c(asked, "inputs", input_variants(asked.config))


def times(asked: Asked) -> Found:
    """The order of events only, then the gaps between them, then hour and weekday."""
    return _on_slice_c(asked, "time", time_variants(asked.config))


def input_variants(config: TrainingConfig) -> dict[str, TrainingConfig]:
    """Configurations by name, each with one kind of input more."""
    whole = config.dataset
    without_values = whole.model_copy(update={"events": whole.events.model_copy(update={"value": None})})
    without_items = without_values.model_copy(update={"items": whole.items.model_copy(update={"columns": {}})})
    bare = without_items.model_copy(update={"users": whole.users.model_copy(update={"columns": {}})})
    steps = {
        "history only": bare,
        "+ demographics": without_items,
        "+ item attributes": without_values,
        "+ ratings as values": whole,
    }
    return {name: _with(config, dataset) for name, dataset in steps.items()}


def time_variants(config: TrainingConfig) -> dict[str, TrainingConfig]:
    """Configurations by name, each of which reads more of the time. Raises ConfigError when there is none."""
    dataset = config.dataset
    if not dataset.timed:
        raise ConfigError("what the time earns needs events with a time", field="dataset.order.time")
    return {
        name: _with(
            config,
            dataset.model_copy(update={"order": dataset.order.model_copy(update={"models_read": what})}),
        )
        for name, what in TIMES.items()
    }


def types(asked: Asked) -> Found:
    """The first event type that is wanted alone, then all with their weights."""
    config, tables = asked.config, read_tables(asked)
    events = tables.events
    cut = cut_moment(events, SHARE)
    first = next(name for name, kind in config.dataset.types.items() if kind.sign == "positive")
    variants = {f"{first} only": of_type(tables, first), "all types, weighted": tables}
    moments = later_moments(config.dataset, tables, cut, asked.moments, config.seed)
    ranks = {}
    for name, known in variants.items():
        before = part_of(config.dataset, known, known.events.moments < cut)
        folder = asked.run / _folder(name)
        stage = first_fit(config, only_events(before, np.ones(len(before.events), np.bool_)), folder).stage
        people = People(config.dataset, known)
        tasks = [_asked_with(one, people) for one in moments]
        ranks[name] = _ranks_of(list(in_parallel(_places, stage, tasks, config.workers, name)))
    users = user_codes(moments)
    about = TYPES.format(moments=len(moments), users=int(users.max()) + 1, first=first)
    return Found(about, tables.fingerprint, [Table("types", rows_of(ranks, users, config.seed))])


def of_type(tables: Tables, name: str) -> Tables:
    """The tables with events of one type only."""
    return only_events(tables, np.array(tables.events.types, dtype=object)[tables.events.type_codes] == name)


def later_moments(dataset: DatasetConfig, tables: Tables, cut: int, limit: int, seed: int) -> list[Moment]:
    """Turns to another item from `cut` on, of people who were there before it."""
    people = People(dataset, tables)
    events = people.events
    returning = np.isin(events.user_codes, events.user_codes[events.moments < cut])
    found = moments_among(people, (events.moments >= cut) & returning)
    return some([one for one in found if one.wanted(dataset)], limit, seed)


def rows_of(ranks: Mapping[str, Ranks], users: IntArray, seed: int) -> list[Row]:
    """One row per training, NDCG@10 of two towers and the whole, each minus the row before."""
    rows: list[Row] = []
    before: dict[str, np.ndarray] = {}
    for name, found in ranks.items():
        row: Row = {"training": name}
        for system in (TOWERS, WHOLE):
            values = per_user(gains(found[system], K), users)
            row[f"{system} ndcg@{K}"] = float(values.mean())
            row[f"{system}, minus the row before"] = (
                paired_interval(values, before[system], seed) if system in before else None
            )
            before[system] = values
        rows.append(row)
    return rows


def _on_slice_c(asked: Asked, title: str, variants: Mapping[str, TrainingConfig]) -> Found:
    tables, ranks = None, {}
    judged_at: list[tuple[str, int, str]] = []
    users = np.empty(0, dtype=np.int64)
    for name, config in variants.items():
        tables = read_tables(asked._replace(config=_judging(config, asked.moments), run=asked.run / _folder(name)))
        fit = first_fit(_judging(config, asked.moments), tables, asked.run / _folder(name))
        wanted = [index for index, one in enumerate(fit.moments) if one.wanted(config.dataset)]
        moments = [fit.moments[index] for index in wanted]
        places = [(one.user_id, one.moment, one.item_id) for one in moments]
        if judged_at and places != judged_at:
            raise RuntimeError(f"{name!r} was judged at other moments than the row before it")
        judged_at, users = places, user_codes(moments)
        ranks[name] = _ranks_on_slice_c(fit, wanted, users)
    about = SLICE_C.format(moments=len(users), users=int(users.max()) + 1)
    data = tables.fingerprint if tables is not None else ""
    return Found(about, data, [Table(title, rows_of(ranks, users, asked.config.seed))])


def _ranks_on_slice_c(fit: FirstFit, wanted: Sequence[int], users: IntArray) -> Ranks:
    verdicts = [fit.verdicts[index] for index in wanted]
    targets = np.array([one.target for one in verdicts], dtype=np.int64)
    return {name: Judged([one.lists[name] for one in verdicts], targets, users).ranks() for name in (TOWERS, WHOLE)}


def _asked_with(moment: Moment, known: People) -> tuple[Moment, str | None]:
    """The moment with what a set of tables knows of the person, and the item that they are really looking at."""
    looking_at = moment.person.events.item_ids[-1] if len(moment.person.events) else None
    return moment._replace(person=known.person(moment.user_id, moment.moment)), looking_at


def _places(bundle: Bundle, task: tuple[Moment, str | None]) -> dict[str, int]:
    moment, looking_at = task
    here = situation(bundle, moment.person, moment.moment, exclude=() if looking_at is None else (looking_at,))
    target = bundle.schema.items.row(moment.item_id)
    draw = np.random.default_rng(0)
    return {
        TOWERS: place_by(tower_scores(here), here.open_rows, target, draw),
        WHOLE: whole_place(here, retrieve(here), target, K),
    }


def _ranks_of(found: Sequence[dict[str, int]]) -> Ranks:
    return {name: np.array([one[name] for one in found], dtype=np.int64) for name in (TOWERS, WHOLE)}


def _with(config: TrainingConfig, dataset: DatasetConfig) -> TrainingConfig:
    return config.model_copy(update={"dataset": dataset})


def _judging(config: TrainingConfig, moments: int) -> TrainingConfig:
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"max_moments": moments})})


def _folder(name: str) -> Path:
    """A row's name as that of a folder."""
    return Path("-".join("".join(char if char.isalnum() else " " for char in name).split()))


main = study(
    "ablation",
    {
        "inputs": Part("configs/movielens-1m.yaml", inputs),
        "time": Part("configs/retailrocket.yaml", times),
        "types": Part("configs/retailrocket.yaml", types),
    },
)

if __name__ == "__main__":
    main()

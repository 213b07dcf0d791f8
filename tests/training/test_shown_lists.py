"""From exported logs the ranker learns what was shown in which slot: the same rows as were served, to the bit."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from features.arrays import BoolArray
from features.config import read_config
from features.dataset import DatasetConfig
from features.errors import DataError
from features.events import Tables
from features.people import People
from features.served import load_served
from features.tables import load_tables
from serving.bundle import open_bundle
from serving.events.commands import export_logs
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import ranker_rows
from serving.retrieval.candidates import retrieve
from serving.situation import situation
from serving.state import load_tables_into_state, open_state
from training.config import TrainingConfig
from training.ranker.examples import make_examples
from training.ranker.shown import ShownLists
from training.run_folder import Run
from training.simulator import SimulatorSettings, World
from training.simulator.exposing import Exposed, ExposureSettings, by_model, by_model_with_noise, by_popularity, expose
from training.steps import ranker_moments

SETTINGS = ExposureSettings(lists=200, slots=8, days=2)


class Logs(NamedTuple):
    """What was exported of a store in which lists were shown."""

    folder: Path
    asked: dict[int, tuple[Any, int]]
    """By moment who was shown a list, and how long."""
    exposed: Exposed
    dataset: DatasetConfig
    tables: Tables
    people: People
    live: BoolArray
    """bool over `people.events`: what came of lists."""

    def lists(self, within_hours: float = 24.0) -> ShownLists:
        return ShownLists(self.dataset, self.tables, self.people, self.live, within_hours)


@pytest.fixture(scope="module")
def logs(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Logs:
    folder = tmp_path_factory.mktemp("logs")
    content = yaml.safe_load((Path(trained.config_path).parent / "simulation.json").read_text(encoding="utf-8"))
    content.pop("written_events")
    world, url = World.from_settings(SimulatorSettings.parse(content)), f"sqlite:///{folder}/state.db"
    state = open_state(url)
    load_tables_into_state(state, trained.tables)
    policy, asked = by_model(Pipeline(open_bundle(trained.bundle))), {}

    def remembered(person: Any, moment: int, count: int) -> Any:
        asked[moment] = (person, count)
        return policy(person, moment, count)

    exposed = expose(world, trained.config.dataset, state, remembered, SETTINGS, "model")
    state.close()
    export_logs(trained.config_path, url, folder / "log", None)
    file = read_config(folder / "log" / "dataset.yaml")
    tables = load_tables(file.dataset, file.folder)
    people = People(file.dataset, tables)
    live = np.asarray(people.events.moments >= world.settings.end_moment)
    return Logs(folder / "log", asked, exposed, file.dataset, tables, people, live)


def test_what_the_ranker_learns_from_is_what_was_served_to_the_bit(trained: Any, logs: Logs) -> None:
    bundle = open_bundle(trained.bundle)
    moments = logs.lists().moments(60, seed=0)
    examples = make_examples(trained.bundle, moments, workers=1, label="test")
    assert len(examples) == len(moments) == 60
    assert examples.brought.all()
    for index, moment in enumerate(moments):
        person, count = logs.asked[moment.moment]
        here = situation(bundle, person, moment.moment)
        served = retrieve(here, count)
        rows = examples.rows[index][examples.rows[index] > 0]
        at = np.searchsorted(served.rows, rows)
        np.testing.assert_array_equal(served.rows[at], rows)
        features = ranker_rows(here, served).features[at]
        np.testing.assert_array_equal(examples.features[index, : len(rows)], features)
        past = here.history.item_rows[::-1][: examples.history_rows.shape[1]]
        np.testing.assert_array_equal(examples.history_rows[index][: len(past)], past)


def test_only_what_was_shown_and_not_taken_is_held_against_what_was_taken(trained: Any, logs: Logs) -> None:
    """Equal to a slow reading of the exported events."""
    items = open_bundle(trained.bundle).schema.items
    events, served = read(logs.folder, "events/*/*/*.parquet"), read(logs.folder, "served/*/*.parquet")
    lists = {row["answered_for"]: row for row in served}
    moments = logs.lists().moments(30, seed=0)
    examples = make_examples(trained.bundle, moments, workers=1, label="test")
    for index, moment in enumerate(moments):
        answer = lists[moment.moment]
        mine = [row for row in events if row["user_id"] == moment.user_id]
        shown = [row for row in mine if row["request_id"] == answer["request_id"] and row["type"] == "impression"]
        taken = {
            one["item_id"]
            for one in shown
            for row in mine
            if row["type"] != "impression" and row["item_id"] == one["item_id"]
            if one["time"] < row["time"] <= one["time"] + timedelta(hours=24)
        }
        assert moment.item_id in taken
        expected = {
            one["item_id"]: int(one["position"])
            for one in shown
            if one["item_id"] == moment.item_id or one["item_id"] not in taken
        }
        rows = examples.rows[index][examples.rows[index] > 0].tolist()
        slots = examples.slots[index, : len(rows)].tolist()
        assert dict(zip(map(items.id_of, rows), slots, strict=True)) == expected
        assert items.id_of(rows[examples.targets[index]]) == moment.item_id


def read(folder: Path, files: str) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob(files)) for row in pq.read_table(file).to_pylist()]


def test_an_item_is_taken_only_when_it_is_acted_on_in_time(logs: Logs) -> None:
    counts = [len(logs.lists(hours).moments(1_000, seed=0)) for hours in (0.001, 0.06, 24.0)]
    assert counts[0] == 0 < counts[1] < counts[2]
    assert len(logs.lists().moments(7, seed=0)) == 7


def test_the_rule_says_what_is_held_against_what_was_taken(trained: Any, logs: Logs, tmp_path: Path) -> None:
    """auto: shown lists where there are any, candidates elsewhere; what a list led to is not asked about twice."""
    sections = trained.config.model_dump(mode="json", by_alias=True, exclude={"dataset"})
    found = {}
    for rule in ("auto", "shown", "candidates"):
        fit = {**sections["ranker_fit"], "negatives": rule, "max_examples": 10_000}
        config = TrainingConfig.parse({**sections, "dataset": logs.dataset, "ranker_fit": fit})
        run = Run.of(config, logs.tables, tmp_path)
        codes = np.where(logs.live, 1, 0)
        run = replace(run, slices=run.slices._replace(codes=np.where(run.slices.codes == 2, 1, codes)))
        found[rule] = ranker_moments(run)
    assert all(one.shown for one in found["shown"])
    assert not any(one.shown for one in found["candidates"])
    by_lists = [one for one in found["auto"] if one.shown]
    assert len(by_lists) == len(found["shown"]) > 50
    others = {(one.user_id, one.item_id) for one in found["auto"] if not one.shown}
    assert others < {(one.user_id, one.item_id) for one in found["candidates"]}


def test_without_known_slots_there_are_no_lists(trained: Any) -> None:
    people = People(trained.config.dataset, trained.tables)
    everything = np.ones(len(people.events), dtype=np.bool_)
    lists = ShownLists(trained.config.dataset, trained.tables, people, everything, 24.0)
    assert lists.moments(10, seed=0) == []
    assert not lists.led_to.any()


def test_items_are_taken_as_they_are_looked_at(logs: Logs, trained: Any) -> None:
    rates = logs.exposed.taken / logs.exposed.shown
    assert rates[0] > 2 * rates[-4:].mean()
    assert (np.diff(SETTINGS.examined) < 0).all()
    popular = by_popularity(Pipeline(open_bundle(trained.bundle)))
    person, _ = next(iter(logs.asked.values()))
    answer = popular(person, min(logs.asked), 8)
    assert len({one.item_id for one in answer.items}) == 8
    scores = [one.score for one in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert popular(person, min(logs.asked), 8) == answer != popular(person, min(logs.asked) + 1, 8)
    noisy = by_model_with_noise(Pipeline(open_bundle(trained.bundle)))
    lists = [[one.item_id for one in noisy(person, min(logs.asked) + draw, 8).items] for draw in range(2)]
    assert len(set(lists[0])) == 8
    assert lists[0] != lists[1]


def test_what_came_later_than_an_answer_knew_is_not_in_the_record(logs: Logs) -> None:
    arrivals = logs.people.events.arrivals
    assert arrivals is not None
    user = next(user for user in logs.people.user_ids if np.diff(logs.people.span(user))[0] > 5)
    start, stop = logs.people.span(user)
    known = np.sort(arrivals[start:stop])[2]
    person = logs.people.person(user, seen=int(known))
    rows = start + np.flatnonzero(arrivals[start:stop] <= known)
    assert list(person.events.item_ids) == list(logs.people.events.items[logs.people.events.item_codes[rows]])
    assert set(person.taken_until(2**62).item_ids) == set(person.events.item_ids)
    whole = logs.people.person(user, seen=int(arrivals.max()))
    assert list(whole.events.item_ids) == list(logs.people.person(user).events.item_ids)


def test_a_table_that_is_no_log_of_answers_is_refused(logs: Logs, tmp_path: Path) -> None:
    columns = ("request_id", "user_id", "anonymous_id", "answered_for", "seen", "query")
    for content, told in ({"day": ["x"]}, "no column 'request_id'"), ({name: ["x"] for name in columns}, "is no log"):
        pq.write_table(pa.table(content), tmp_path / "served.parquet")
        dataset = DatasetConfig.parse(
            {**logs.dataset.model_dump(mode="json", by_alias=True), "served": {"path": "served.parquet"}}
        )
        with pytest.raises(DataError, match=told):
            load_served(dataset, tmp_path)
    assert load_served(dataset.model_copy(update={"served": None}), tmp_path) is None

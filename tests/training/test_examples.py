"""The ranker's examples are the pipeline's own rows: equal to the bit to those that the service would make."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.people import People
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import feature_names, ranker_rows
from serving.retrieval.candidates import retrieve
from serving.retrieval.sources import SOURCES
from serving.situation import situation
from serving.state import load_tables_into_state, open_state
from training.evaluation.judging import MARKOV, TOWERS, WHOLE, judge, judged, served
from training.evaluation.metrics import accuracy
from training.moments import Moment, moments_among
from training.ranker.examples import Examples, make_examples
from training.stage import part_of, schema_of
from training.statistics import item_rows


@pytest.fixture(scope="module")
def people(trained: Any) -> People:
    return People(trained.config.dataset, trained.tables)


@pytest.fixture(scope="module")
def moments(people: People) -> list[Moment]:
    return moments_among(people, np.ones(len(people.events), dtype=bool), limit=120, seed=1)


@pytest.fixture(scope="module")
def examples(trained: Any, moments: list[Moment]) -> Examples:
    return make_examples(trained.bundle, moments, workers=1, label="test")


def test_rows_of_training_equal_those_made_from_the_state(
    trained: Any, people: People, moments: list[Moment], examples: Examples
) -> None:
    bundle = open_bundle(trained.bundle)
    state = open_state("sqlite://:memory:")
    load_tables_into_state(state, trained.tables)
    exposures = [name for name, kind in trained.config.dataset.types.items() if kind.sign == "exposure"]
    made = 0
    for one in moments:
        stored = state.person(one.user_id, without=exposures, newest=len(people.events))
        person = type(stored)(stored.events, stored.taken, stored.attributes, stored.changes, one.person.context)
        known, kept = people.person(one.user_id, one.moment).taken_until(one.moment), person.taken_until(one.moment)
        if set(zip(*known, strict=True)) != set(zip(*kept, strict=True)):
            continue  # taken again later: the state keeps only the newest moment of an item and type
        here = situation(bundle, person, one.moment)
        candidates = retrieve(here)
        if bundle.schema.items.row(one.item_id) in candidates.rows:
            features = ranker_rows(here, candidates).features
            same = [
                np.array_equal(examples.features[index, : len(features)], features)
                for index in range(len(examples))
                if np.array_equal(examples.rows[index][examples.rows[index] > 0], candidates.rows)
            ]
            assert any(same), "no example has exactly these rows"
            made += 1
    assert made > 20


def test_two_processes_make_the_same_examples_as_one(trained: Any, people: People) -> None:
    moments = moments_among(people, np.ones(len(people.events), dtype=bool), limit=220, seed=2)
    one, two = (make_examples(trained.bundle, moments, workers=workers, label="test") for workers in (1, 2))
    assert np.array_equal(one.features, two.features)
    assert np.array_equal(one.targets, two.targets)


def test_a_positive_is_never_appended(trained: Any, moments: list[Moment], examples: Examples) -> None:
    bundle = open_bundle(trained.bundle)
    reached = 0
    for one in moments:
        rows = retrieve(situation(bundle, one.person, one.moment)).rows
        reached += int(bundle.schema.items.row(one.item_id) in rows)
    assert len(examples) == reached
    assert examples.asked == len(moments)
    assert 0 < reached < len(moments)


def test_labels_name_the_target_and_what_came_of_it(trained: Any, examples: Examples) -> None:
    heads = open_bundle(trained.bundle).schema.heads
    assert examples.heads.shape == (len(examples), len(heads))
    assert (examples.heads.sum(axis=1) >= 1).all()
    assert (examples.rows[np.arange(len(examples)), examples.targets] > 1).all()


def test_features_have_names_and_are_finite(trained: Any, examples: Examples) -> None:
    names = feature_names(open_bundle(trained.bundle).schema)
    assert examples.features.shape[2] == len(names) == len(set(names))
    assert np.isfinite(examples.features).all()


def test_every_system_is_judged_on_the_same_moments(trained: Any, people: People, moments: list[Moment]) -> None:
    from training.evaluation.baselines import markov_chain

    config = trained.config
    part = part_of(config.dataset, trained.tables, np.ones(len(trained.tables.events), dtype=bool))
    schema = schema_of(config.dataset, part)
    markov = markov_chain(item_rows(schema, part.events), part.events.offsets, len(schema.items))
    verdicts = judge(trained.bundle, moments, markov, workers=1, label="test")
    systems = judged(served(verdicts, Pipeline(open_bundle(trained.bundle)), 10), np.arange(len(moments)))
    assert {WHOLE, TOWERS, MARKOV, "popular", "transitions"} <= set(systems)
    assert {one.name for one in SOURCES} - set(systems) == {"nearest"}
    for one in systems.values():
        assert 0 <= accuracy(one, 10)["recall@10"] <= 1


def test_the_run_folder_holds_everything_about_the_training(trained: Any) -> None:
    names = {path.name for path in Path(trained.run).iterdir()}
    assert {"config.yaml", "check.json", "check.md", "report.json", "report.md", "bundle", "checkpoints"} <= names
    assert list(Path(trained.run).rglob("metrics.csv"))


def test_golden_answers_use_every_active_source(trained: Any) -> None:
    from serving.answers import Query
    from training.export.golden import simulated_people

    pipeline = Pipeline(open_bundle(trained.bundle))
    used = {
        source
        for person, moment in simulated_people(pipeline.bundle, trained.config.seed)
        for item in pipeline.recommend(person, Query(k=20), moment).items
        for source in item.sources
    }
    assert used == {source.name for source in SOURCES}


def test_what_is_left_out_is_in_no_example(trained: Any, moments: list[Moment], examples: Examples) -> None:
    bundle = open_bundle(trained.bundle)
    left_out = np.zeros(len(bundle.schema.items), dtype=bool)
    left_out[::3] = True
    fewer = make_examples(trained.bundle, moments, workers=1, label="test", left_out=left_out)
    assert not left_out[fewer.rows[fewer.rows > 0]].any()
    assert 0 < len(fewer) < len(examples)
    assert fewer.asked == examples.asked

"""`order.models_read` decides what of a time reaches the models; slices go by time all the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.dataset import DatasetConfig
from features.events import Tables
from features.histories import SequenceInputs, encode_history, sequence_inputs
from features.moments import DAY, HOUR, to_moment
from features.people import People
from features.schema import Schema, fit_schema
from features.tables import load_tables
from models.user_tower import UserTowerInputs
from serving.bundle import open_bundle
from serving.ranking.ranker_inputs import feature_names, ranker_rows
from serving.retrieval.candidates import retrieve
from serving.situation import situation
from training.slices import cut

MONDAY = to_moment("2026-06-01T00:00:00Z")
REGULAR = (0, HOUR, 2 * HOUR, 3 * HOUR)
STRETCHED = (0, DAY, 9 * DAY, 40 * DAY)
LATER = tuple(5 * HOUR + at for at in REGULAR)


def dataset_reading(what: str) -> DatasetConfig:
    return DatasetConfig.parse({"order": {"time": "at", "models_read": what}, "events": {}, "types": {"view": {}}})


def tables_at(dataset: DatasetConfig, times: tuple[int, ...]) -> Tables:
    at = [pd.Timestamp(MONDAY + one, unit="ms", tz="UTC") for one in times]
    return load_tables(dataset, Path(), {"events": pd.DataFrame({"user_id": 1, "item_id": list("abcd"), "at": at})})


def inputs_at(what: str, times: tuple[int, ...]) -> SequenceInputs:
    dataset = dataset_reading(what)
    tables = tables_at(dataset, times)
    schema = replace(fit_schema(dataset, tables.events, tables.users, tables.items), max_gap_code=32)
    person = People(dataset, tables).whole("1")
    moment = MONDAY + times[-1]
    return sequence_inputs(schema, person, encode_history(schema, person, moment, 10), moment)


@pytest.mark.parametrize(
    ("what", "sees_gaps", "sees_clock"), [("order", False, False), ("gaps", True, False), ("clock", True, True)]
)
def test_models_see_what_is_read_of_a_time_and_no_more(what: str, sees_gaps: bool, sees_clock: bool) -> None:
    regular, stretched, later = (inputs_at(what, times) for times in (REGULAR, STRETCHED, LATER))
    assert np.array_equal(regular.gap_codes, stretched.gap_codes) != sees_gaps
    assert np.array_equal(regular.gap_codes, later.gap_codes)
    assert np.array_equal(regular.context_codes, later.context_codes) != sees_clock


@pytest.mark.parametrize(
    ("what", "names"), [("order", set()), ("gaps", {"gap_codes"}), ("clock", {"gap_codes", "context_codes"})]
)
def test_the_user_tower_takes_only_what_is_read(what: str, names: set[str]) -> None:
    dataset = dataset_reading(what)
    tables = tables_at(dataset, REGULAR)
    schema = fit_schema(dataset, tables.events, tables.users, tables.items)
    assert {"gap_codes", "context_codes"} & set(UserTowerInputs.of(schema, 10).names) == names
    assert Schema.from_json(schema.to_json(), schema.items).fingerprint == schema.fingerprint


def test_slices_go_by_time_whatever_is_read() -> None:
    codes = []
    for what in ("order", "gaps", "clock"):
        dataset = dataset_reading(what)
        codes.append(cut(dataset, tables_at(dataset, STRETCHED).events).codes.tolist())
    assert codes[0] == codes[1] == codes[2]


@pytest.mark.parametrize("what", ["order", "gaps", "clock"])
def test_the_ranker_reads_a_later_request_differently_only_where_time_is_read(trained: Any, what: str) -> None:
    bundle = open_bundle(trained.bundle)
    order = bundle.schema.dataset.order.model_copy(update={"models_read": what})
    schema = replace(bundle.schema, dataset=bundle.schema.dataset.model_copy(update={"order": order}))
    people = People(bundle.schema.dataset, trained.tables)
    here = situation(bundle, people.person(people.user_ids[0]), int(people.events.moments.max()))
    asked = replace(here, bundle=replace(bundle, schema=schema))
    candidates = retrieve(asked)
    now, later = (
        ranker_rows(one, candidates).features for one in (asked, replace(asked, moment=asked.moment + 3 * DAY + HOUR))
    )
    changed = {name for name, a, b in zip(feature_names(schema), now.T, later.T, strict=True) if (a != b).any()}
    clock, gaps = {"hour_sin", "hour_cos", "weekend"}, {"log_days_since_last", "days_since_first_seen"}
    assert bool(changed & clock) == (what == "clock")
    assert (gaps <= changed) == (what != "order")
    assert what != "order" or not changed

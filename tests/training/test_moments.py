"""Moments lie before runs of one item, know nothing of them, and carry what came of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.dataset import DatasetConfig
from features.people import People
from features.tables import load_tables
from training.moments import first_of_runs, moments_among

ROWS = [
    ("u", "a", "view"),
    ("u", "a", "buy"),
    ("u", "b", "view"),
    ("u", "a", "view"),
    ("v", "a", "skip"),
    ("v", "c", "view"),
]

DATASET = DatasetConfig.parse(
    {
        "order": {"time": "at"},
        "events": {"type": "type"},
        "types": {"view": {}, "buy": {"weight": 3}, "skip": {"sign": "negative"}},
    }
)


@pytest.fixture
def people() -> People:
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "type"])
    frame["at"] = np.arange(len(frame)) + 1_700_000_000
    return People(DATASET, load_tables(DATASET, Path(), {"events": frame}))


def test_a_run_begins_where_the_item_or_the_person_changes(people: People) -> None:
    assert first_of_runs(people.events).tolist() == [True, False, True, True, True, True]


def test_a_moment_knows_what_was_before_its_run_and_nothing_of_it(people: People) -> None:
    found = moments_among(people, np.ones(len(ROWS), dtype=bool))
    assert [(one.user_id, one.item_id, set(one.types)) for one in found] == [
        ("u", "a", {"view", "buy"}),
        ("u", "b", {"view"}),
        ("u", "a", {"view"}),
        ("v", "a", {"skip"}),
        ("v", "c", {"view"}),
    ]
    assert [list(one.person.events.item_ids) for one in found] == [[], ["a", "a"], ["a", "a", "b"], [], ["a"]]
    assert [one.wanted(DATASET) for one in found] == [True, True, True, False, True]


def test_types_count_within_the_mask_only(people: People) -> None:
    first_only = np.array([True, False, False, False, False, False])
    assert [one.types for one in moments_among(people, first_only)] == [("view",)]


def test_a_limit_draws_the_same_moments_in_row_order(people: People) -> None:
    everything = np.ones(len(ROWS), dtype=bool)
    some = moments_among(people, everything, limit=3, seed=4)
    again = moments_among(people, everything, limit=3, seed=4)
    assert [one.moment for one in some] == [one.moment for one in again]
    assert [(one.user_id, one.moment) for one in some] == sorted((one.user_id, one.moment) for one in some)

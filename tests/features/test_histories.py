"""A query stands one tick before its event, and its clock is still the event's own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import DatasetConfig
from features.histories import encode_history, sequence_inputs
from features.moments import DAY, HOUR, SECOND, gap_codes, to_moment
from features.people import People
from features.schema import fit_schema
from features.tables import load_tables
from features.vocabulary import RESERVED

MONDAY = to_moment("2026-06-01T00:00:00Z")


@pytest.mark.parametrize("after", [0, HOUR - SECOND, 5 * HOUR, DAY], ids=["midnight", "late", "five", "tuesday"])
def test_an_event_is_asked_at_its_own_hour_and_weekday(tmp_path: Path, after: int) -> None:
    dataset = DatasetConfig.parse({"order": {"time": "at"}, "events": {}, "types": {"view": {}}})
    at = [pd.Timestamp(moment, unit="ms", tz="UTC") for moment in (MONDAY + after, MONDAY + after)]
    frame = pd.DataFrame({"user_id": [1, 1], "item_id": ["a", "b"], "at": at})
    tables = load_tables(dataset, tmp_path, {"events": frame})
    schema, person = fit_schema(dataset, tables.events, tables.users, tables.items), People(dataset, tables).whole("1")
    before = MONDAY + after - 1
    for moment, queries in ((before, 1), (MONDAY + after, 3)):
        history = encode_history(schema, person, moment, 10)
        codes = sequence_inputs(schema, person, history, moment).context_codes
        assert codes.tolist() == [[RESERVED + after // HOUR % 24, RESERVED + after // DAY]] * queries


@given(st.lists(st.integers(-10, 2**43), min_size=1), st.integers(1, 40))
def test_gaps_are_told_apart_by_powers_of_two_of_a_second(gaps: list[int], limit: int) -> None:
    """Against a search among the edges, which every code must lie on the right side of."""
    edges = (2 ** np.arange(32, dtype=np.int64) - 1) * 1000
    around = np.concatenate([np.array(gaps, dtype=np.int64), edges, edges - 1, edges + 999])
    expected = np.minimum(np.searchsorted(edges, np.maximum(around, 0), side="right"), limit)
    np.testing.assert_array_equal(gap_codes(around, np.array([0]), limit)[:, 0], expected)

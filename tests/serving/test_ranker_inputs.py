"""What single columns of the ranker's rows say."""

from typing import Any

import numpy as np
import pytest

from features.moments import HOUR, to_moment
from features.person import Person
from serving.bundle import open_bundle
from serving.candidates import retrieve
from serving.ranker_inputs import feature_names, ranker_rows
from serving.situation import situation

MONDAY = to_moment("2026-06-01T00:00:00Z")


@pytest.mark.parametrize(("at", "angle", "weekend"), [(MONDAY, 0, 0), (MONDAY - HOUR, 2 * np.pi * 23 / 24, 1)])
def test_the_clock_is_that_of_the_event_one_tick_later(trained: Any, at: int, angle: float, weekend: int) -> None:
    bundle = open_bundle(trained.bundle)
    for moment in (at - 1, at):
        here = situation(bundle, Person(), moment)
        row = dict(zip(feature_names(bundle.schema), ranker_rows(here, retrieve(here)).features[0], strict=True))
        assert row["hour_sin"] == pytest.approx(np.sin(angle))
        assert row["hour_cos"] == pytest.approx(np.cos(angle))
        assert row["weekend"] == weekend

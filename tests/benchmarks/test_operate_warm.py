"""The warm start is measured on what neither training saw, and the page tells what was measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.operate.results import about_now
from benchmarks.operate.warm_start import held_out, last_tenth, measure, row_of


def test_everybodys_last_turn_is_held_out_and_nothing_after_it_is_left(trained: Any) -> None:
    test = held_out(trained.config, trained.tables)
    events = trained.tables.events
    shown = np.array([trained.config.dataset.types[name].sign == "exposure" for name in events.types])
    kept = ~shown[events.type_codes]
    for _, start, stop in events.by_user():
        mine, rows = test[start:stop], kept[start:stop]
        if mine.any():
            first = int(np.flatnonzero(mine)[0])
            assert mine[first:][rows[first:]].all()
    assert 0.01 < test.mean() < 0.2


def test_the_last_tenth_is_the_newest(trained: Any) -> None:
    events = trained.tables.events
    late = last_tenth(trained.config, events)
    assert late.mean() == pytest.approx(0.1, abs=0.01)
    assert events.moments[late].min() >= events.moments[~late].max()
    order = trained.config.dataset.order.model_copy(update={"time": None, "sequence": "n"})
    dataset = trained.config.dataset.model_copy(update={"order": order})
    late = last_tenth(trained.config.model_copy(update={"dataset": dataset}), events)
    for _, start, stop in events.by_user():
        assert late[start:stop].sum() == int(np.ceil((stop - start) * 0.1))
        assert late[stop - 1]


@pytest.mark.slow
def test_it_measures_and_tells(trained: Any, tmp_path: Path) -> None:
    config = trained.config.model_copy(update={"transition_seconds": 0.0})
    result = measure(config, trained.tables, tmp_path, epochs=1)
    assert set(result["systems"]) == {"live", "full", "warm"}
    assert 0 < result["time"] < 1
    row = row_of(result, about_now("benchmarks.operate.warm_start"))
    assert row.figures["ndcg@10, warm"] == round(result["systems"]["warm"]["ndcg@10"], 4)

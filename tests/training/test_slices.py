"""The three slices: whose events they hold, and that nothing earlier follows something later."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.dataset import DatasetConfig
from features.events import EventTable
from features.tables import load_tables
from training.slices import A, B, C, cut, cut_moment


def table(order: str, rows: list[tuple[str, str, str, int]]) -> tuple[DatasetConfig, EventTable]:
    dataset = DatasetConfig.parse(
        {
            "order": {order: "at"},
            "events": {"type": "type"},
            "types": {"like": {}, "skip": {"sign": "negative"}},
        }
    )
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "type", "at"])
    return dataset, load_tables(dataset, Path(), {"events": frame}).events


def test_by_order_the_last_positive_is_c_and_the_tenth_before_it_b() -> None:
    rows = [("u", f"i{place}", "like", place) for place in range(20)] + [("u", "bad", "skip", 20)]
    dataset, events = table("sequence", rows)
    codes = cut(dataset, events).codes
    assert codes.tolist() == [A] * 16 + [B] * 3 + [C, C]


@pytest.mark.parametrize("count", [1, 2])
def test_by_order_a_user_with_fewer_than_three_gives_only_a(count: int) -> None:
    dataset, events = table("sequence", [("u", f"i{place}", "like", place) for place in range(count)])
    assert cut(dataset, events).codes.tolist() == [A] * count


def test_by_order_a_user_without_positives_gives_only_a() -> None:
    rows = [("u", f"i{place}", "skip", place) for place in range(5)]
    dataset, events = table("sequence", [*rows, ("v", "i0", "like", 0)])
    assert set(cut(dataset, events).codes) == {A}


def test_by_time_the_slices_follow_each_other_for_everybody() -> None:
    draw = np.random.default_rng(0)
    rows = [
        (f"u{draw.integers(30)}", f"i{draw.integers(50)}", "like", int(second))
        for second in draw.integers(1_700_000_000, 1_700_500_000, 2_000)
    ]
    dataset, events = table("time", rows)
    codes = cut(dataset, events).codes
    assert [round(float((codes == one).mean()), 2) for one in (A, B, C)] == [0.8, 0.1, 0.1]
    assert events.moments[codes == A].max() < events.moments[codes == B].min()
    assert events.moments[codes == B].max() < events.moments[codes == C].min()


def test_rows_of_one_moment_stay_together() -> None:
    _, events = table("time", [("u", f"i{place}", "like", 1_700_000_000 + place // 5) for place in range(10)])
    cut_at = cut_moment(events, 0.8)
    assert (events.moments < cut_at).sum() == 5


def test_by_order_a_run_of_one_item_stays_in_one_slice() -> None:
    rows = [("u", f"i{place // 2}", "like", place) for place in range(20)]
    dataset, events = table("sequence", rows)
    codes = cut(dataset, events).codes
    assert codes.tolist()[-2:] == [C, C]
    assert codes.tolist()[-3] == B

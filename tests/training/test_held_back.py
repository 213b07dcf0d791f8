"""Some items with a past and with attributes are kept from the first fit, which then knows nothing else of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.dataset import DatasetConfig
from features.tables import load_tables
from training.config import TrainingConfig
from training.held_back import held_back_items
from training.run_folder import Run
from training.steps import told

ITEMS = 40


def world(columns: dict[str, Any]) -> tuple[TrainingConfig, Any]:
    """People who each take ten of forty items; the first twenty items stand in the item table."""
    draw = np.random.default_rng(0)
    taken = [(f"u{user}", f"i{item}", step) for user in range(50) for step, item in enumerate(draw.choice(ITEMS, 10))]
    events = pd.DataFrame(taken, columns=["user_id", "item_id", "position"])
    items = pd.DataFrame({"item_id": [f"i{item}" for item in (*range(20), 98, 99)], "kind": list("ab" * 11)})
    dataset = DatasetConfig.parse(
        {"order": {"sequence": "position"}, "events": {}, "types": {"view": {"repeat": "always"}},
         "items": {"columns": columns}}
    )  # fmt: skip
    config = TrainingConfig(dataset=dataset, newcomers=0.25)
    return config, load_tables(dataset, Path(), {"events": events, "items": items})


def test_a_share_of_the_items_with_a_past_and_attributes() -> None:
    config, tables = world({"kind": {"role": "categorical", "static": True}})
    run = Run.of(config, tables, Path())
    assert len(run.newcomers) == 5
    assert all(int(item[1:]) < 20 for item in run.newcomers)
    part = told(run)
    known = set(part.events.items[np.unique(part.events.item_codes)].tolist())
    assert not known & run.newcomers
    assert set(part.items.ids.tolist()) >= run.newcomers


def test_nothing_is_held_back_where_items_have_no_attributes_or_the_share_is_zero() -> None:
    config, tables = world({})
    assert not Run.of(config, tables, Path()).newcomers
    config, tables = world({"kind": {"role": "categorical", "static": True}})
    assert not Run.of(config.model_copy(update={"newcomers": 0.0}), tables, Path()).newcomers


@pytest.mark.parametrize("seed", [0, 1])
def test_the_draw_is_its_own(seed: int) -> None:
    config, tables = world({"kind": {"role": "categorical", "static": True}})
    one, again = (held_back_items(config.dataset, tables, tables.events, 0.25, seed) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    others = np.random.default_rng(seed).choice(20, 5, replace=False)
    assert set(np.flatnonzero(one).tolist()) != set(others.tolist())

"""The formula for the operations of an epoch equals what torch counts while the towers run."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.accuracy.operations import item_tower, softmax, user_tower
from features.schema import FieldSize
from models.config import TowerConfig
from models.item_tower import ItemTower
from models.losses import full_softmax_loss
from models.user_tower import UserTower, UserTowerInputs

WINDOWS, POSITIONS, ROWS = 3, 17, 50
TOWERS = TowerConfig(embedding_dim=16, blocks=2, heads=2, hidden_ratio=1.5)


def test_the_user_tower_needs_what_torch_counts_but_for_the_future() -> None:
    tower = UserTower(UserTowerInputs(n_types=4, max_events=20), TOWERS)
    vectors = torch.randn(WINDOWS, POSITIONS - 1, TOWERS.embedding_dim)
    with FlopCounterMode(display=False) as counter:
        tower(vectors, torch.ones(WINDOWS, POSITIONS - 1, dtype=torch.long))
    future = WINDOWS * POSITIONS * (POSITIONS - 1) // 2
    needed = user_tower(np.full(WINDOWS, POSITIONS), TOWERS)
    assert counter.get_total_flops() == needed + 4 * future * TOWERS.embedding_dim * TOWERS.blocks


@pytest.mark.parametrize("attributes", [False, True])
def test_the_item_tower_needs_what_torch_counts(attributes: bool) -> None:
    tower = ItemTower(TOWERS.embedding_dim, [FieldSize("genre", 1, 9)] if attributes else [], TOWERS)
    codes = torch.ones(ROWS, 1, dtype=torch.long) if attributes else None
    with FlopCounterMode(display=False) as counter:
        tower(torch.randn(ROWS, TOWERS.embedding_dim), codes)
    assert counter.get_total_flops() == pytest.approx(item_tower(ROWS, TOWERS, attributes=attributes), rel=0.05)


def test_the_softmax_needs_three_products() -> None:
    queries, items = torch.randn(7, TOWERS.embedding_dim), torch.randn(ROWS, TOWERS.embedding_dim)
    with FlopCounterMode(display=False) as counter:
        full_softmax_loss(queries, torch.zeros(7, dtype=torch.long), items, torch.ones(7))
    assert counter.get_total_flops() == 3 * softmax(7, ROWS, TOWERS)

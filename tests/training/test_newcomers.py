"""Attributes foretell where an item stands, when they have anything to do with it, and known items do not move."""

import pytest
import torch

from features.schema import FieldSize
from models.config import TowerConfig
from models.two_towers import TwoTowers
from models.user_tower import UserTowerInputs
from training.towers.newcomers import MIN_ITEMS, fit_newcomers

KINDS, ITEMS, DIM = 6, 240, 16


def towers(known: int, told: bool = True) -> TwoTowers:
    """Items of six kinds that stand near their kind; the last ones have no trained id."""
    torch.manual_seed(0)
    kinds = torch.arange(ITEMS) % KINDS
    codes = (kinds + 2 if told else torch.full_like(kinds, 2))[:, None]
    sizes = (FieldSize("kind", width=1, size=KINDS + 2),)
    inputs = UserTowerInputs(n_types=3, max_events=4)
    model = TwoTowers(inputs, sizes, codes, torch.arange(ITEMS) < known, TowerConfig(embedding_dim=DIM, dropout=0.0))
    centres = torch.nn.functional.normalize(torch.randn(KINDS, DIM), dim=1)
    model.ids.data = 5 * (centres[kinds] + 0.05 * torch.randn(ITEMS, DIM))
    return model.eval()


def test_a_newcomer_is_placed_among_its_kind() -> None:
    model = towers(known=180)
    before = model.item_vectors()[:180].detach()
    assert (fit_newcomers(model, seed=0) or 0) > 0.85
    after = model.item_vectors().detach()
    torch.testing.assert_close(after[:180], before)
    for newcomer in range(180, ITEMS):
        nearest = (after[:180] @ after[newcomer]).topk(5).indices
        assert (nearest % KINDS == newcomer % KINDS).all()


def test_where_attributes_say_nothing_nothing_is_foretold() -> None:
    found = fit_newcomers(towers(known=180, told=False), seed=0)
    assert found is not None
    assert found < 0.5


@pytest.mark.parametrize("known", [0, MIN_ITEMS - 1])
def test_too_few_known_items(known: int) -> None:
    model = towers(known)
    assert fit_newcomers(model, seed=0) is None
    assert torch.isfinite(model.item_vectors()).all()


def test_the_same_seed_gives_the_same_network() -> None:
    one, other = towers(known=180), towers(known=180)
    assert fit_newcomers(one, seed=1) == fit_newcomers(other, seed=1)
    torch.testing.assert_close(one.item_vectors(), other.item_vectors(), rtol=0, atol=0)

"""Dropout drops its share, keeps expectations, and does nothing outside training."""

import pytest
import torch

from models.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
def test_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(rate)(torch.ones(1000, 257))
    assert (dropped == 0).float().mean() == pytest.approx(rate, abs=0.005)
    assert dropped.mean() == pytest.approx(1.0, abs=0.005)
    assert len(dropped.unique()) == 2


def test_every_byte_of_a_word_is_drawn() -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.5)(torch.ones(20_000, 8))
    assert (dropped == 0).float().mean(0) == pytest.approx([0.5] * 8, abs=0.02)


def test_follows_the_seed() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append(Dropout(0.3)(torch.ones(99)))
    torch.testing.assert_close(*drawn, rtol=0, atol=0)


def test_does_nothing_in_serving_or_at_rate_zero() -> None:
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x

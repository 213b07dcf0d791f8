"""The slot of a list is an input while a ranker is fitted and a constant in service, whose graph has no such input."""

import numpy as np
import pytest
import torch

from features.arrays import FloatArray
from models.config import RankerConfig
from models.ranker import PositionTower, Ranker
from training.ranker.examples import Examples
from training.ranker.fit import RankerFitConfig, fit_ranker, learned_from, position_tower

LISTS, SLOTS, HEADS = 1_500, 5, 1
EXAMINED = 1.0 / np.arange(1, SLOTS + 1)
SHAPE = RankerConfig.parse({"hidden_dim": 8, "layers": 1, "dropout": 0.0})
FIT = RankerFitConfig.parse({"epochs": 4, "learning_rate": 0.01})


@pytest.fixture(scope="module")
def lists() -> Examples:
    """One feature is what people like, the other what the policy puts in order; it says nothing of what is liked."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(LISTS, SLOTS, 2)).astype(np.float32)
    features = np.take_along_axis(features, np.argsort(-features[..., 1], axis=1)[..., None], axis=1)
    chances = EXAMINED * np.exp(features[..., 0])
    targets = (chances.cumsum(axis=1) / chances.sum(axis=1, keepdims=True) < draw.random((LISTS, 1))).sum(axis=1)
    return Examples(
        features=features,
        rows=np.broadcast_to(np.arange(2, SLOTS + 2), (LISTS, SLOTS)).astype(np.int32),
        history_rows=np.zeros((LISTS, 1), dtype=np.int32),
        targets=targets,
        heads=np.ones((LISTS, HEADS), dtype=np.float32),
        slots=np.broadcast_to(np.arange(1, SLOTS + 1), (LISTS, SLOTS)).astype(np.int32),
        brought=np.ones(LISTS, dtype=np.bool_),
        asked=LISTS,
    )


def fitted(lists: Examples, tower: PositionTower | None) -> Ranker:
    vectors, prior = np.zeros((SLOTS + 2, 4), dtype=np.float32), np.ones(2, dtype=np.float32)
    return fit_ranker(lists, vectors, HEADS, SHAPE, FIT, prior=prior, seed=0, position=tower)


def slopes(ranker: Ranker) -> FloatArray:
    """How much a logit rises with each feature."""
    points = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    vectors = torch.zeros(1, 3, 4)
    with torch.no_grad():
        logits: FloatArray = ranker(points, vectors, torch.zeros(1, 1, 4), torch.zeros(1, 1))[0, :, 0].numpy()
    return np.asarray(logits[1:] - logits[0])


@pytest.mark.slow
def test_with_the_slot_a_ranker_sees_what_people_like_and_not_what_was_shown_first(lists: Examples) -> None:
    tower = position_tower(lists, FIT, HEADS)
    ignoring, knowing = slopes(fitted(lists, None)), slopes(fitted(lists, tower))
    assert ignoring[1] > 0.5 > 3 * abs(knowing[1])
    assert 0.7 < knowing[0] < 1.3
    told = learned_from(lists, tower)
    np.testing.assert_allclose(np.array(told["slots_examined"], dtype=np.float64), EXAMINED, atol=0.12)
    assert (told["lists_shown"], told["lists_of_candidates"]) == (LISTS, 0)


def test_no_slot_adds_nothing_and_later_slots_count_as_the_last() -> None:
    tower = PositionTower(slots=3, n_heads=2)
    with torch.no_grad():
        tower.examined.copy_(torch.tensor([0.0, -1.0, -2.0]))
        tower.shown.copy_(torch.tensor([0.5, 0.25]))
    added = tower(torch.tensor([[0, 1, 3, 9]]))[0].detach().numpy()
    np.testing.assert_allclose(added, np.array([[0, 0], [0.5, 0.25], [-1.5, -1.75], [-1.5, -1.75]]))


def test_there_is_no_tower_where_no_slot_is_known_or_none_is_wanted(lists: Examples) -> None:
    from dataclasses import replace

    nowhere = replace(lists, slots=np.zeros_like(lists.slots))
    assert position_tower(nowhere, FIT, HEADS) is None
    assert position_tower(lists, FIT.model_copy(update={"position": False}), HEADS) is None
    assert learned_from(nowhere, None) == {"lists_shown": 0, "lists_of_candidates": LISTS}

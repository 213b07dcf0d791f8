"""How high the two towers place what people really took: the figures of the validation people.

R item rows, B windows, S positions, D embedding_dim.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from features.arrays import IntArray
from models.user_tower import UserTower
from training.towers.batches import WindowBatches
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData

TOP = 10


def user_states(tower: UserTower, item_vectors: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """States float32 [B, S, D] of a batch whose items have the vectors float32 [B, S - 1, D]."""
    given = {name: batch[name] for name in tower.inputs.names if name != "item_vectors"}
    states: Tensor = tower(item_vectors=item_vectors, **given)
    return states


def target_ranks(
    tower: UserTower, vectors: Tensor, batch: dict[str, Tensor], hidden: Sequence[IntArray], known: Tensor
) -> Tensor:
    """Place, from 0, of each person's last target among the `known` items, bool [R], of all vectors, float32 [R, D].

    float32 [B]; inf where the target is hidden or not known.
    """
    states = user_states(tower, vectors[batch["item_rows"]], batch)
    person = torch.arange(len(states), device=states.device)
    last = batch["lengths"] - 1
    scores = states[person, last] @ vectors.T  # [B, R]
    scores[:, ~known] = -math.inf
    for row, number in enumerate(batch["numbers"].tolist()):
        scores[row, torch.from_numpy(hidden[number])] = -math.inf
    target = scores[person, batch["targets"][person, last]][:, None]
    ranks = (scores > target).sum(1).float()
    return torch.where(target[:, 0] == -math.inf, math.inf, ranks)


def gains_of(ranks: Tensor) -> Tensor:
    """NDCG@10 of one target each, from places that count from 0."""
    return (ranks < TOP).float() / torch.log2(ranks + 2.0)


def validation_batches(data: TowerData, fit: TowerFitConfig) -> DataLoader[dict[str, Tensor]]:
    """The validation people in batches, shortest histories first."""
    numbers = np.argsort(data.validation.lengths, kind="stable")
    batches = [numbers[start : start + fit.batch_windows] for start in range(0, len(numbers), fit.batch_windows)]
    return DataLoader(WindowBatches(data.validation), sampler=batches, batch_size=None)

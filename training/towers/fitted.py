"""What a fit of the two towers leaves, and its figures. R item rows, D embedding_dim, P validation people."""

from dataclasses import dataclass

import numpy as np
import torch

from features.arrays import FloatArray
from models.item_tower import ItemTower
from models.user_tower import UserTower
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData
from training.towers.ranks import gains_of, target_ranks, validation_batches


@dataclass(frozen=True)
class FittedTowers:
    """What `fit_towers` leaves; modules in eval mode on the CPU."""

    item_tower: ItemTower
    user_tower: UserTower
    id_embeddings: FloatArray
    """float32 [R, D]; zero for items without a trained id."""
    epochs: int
    """Epochs after which the weights were taken."""
    history: list[dict[str, float]]
    """One record per epoch: loss in nats per target, NDCG@10 and Recall@10 of the validation people."""


def validation_gains(fitted: FittedTowers, data: TowerData, fit: TowerFitConfig) -> FloatArray:
    """NDCG@10 of each validation person, float32 [P]."""
    gains = torch.zeros(len(data.validation))
    with torch.no_grad():
        vectors = fitted.item_tower(torch.from_numpy(fitted.id_embeddings), torch.from_numpy(data.item_codes))
        known = torch.from_numpy(data.occurrences > 0)
        for batch in validation_batches(data, fit):
            gains[batch["numbers"]] = gains_of(target_ranks(fitted.user_tower, vectors, batch, data.hidden, known))
    return np.asarray(gains.numpy())

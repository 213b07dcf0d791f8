"""Both towers with the table of item ids, as they are fitted together.

R item rows (PAD and UNKNOWN first), E id_dim, A attribute codes, D embedding_dim, B batch, T events, S = T + 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from features.schema import FieldSize
from models.bags import Bags
from models.config import TowerConfig
from models.item_tower import ItemTower
from models.user_tower import UserTower, UserTowerInputs


class TwoTowers(nn.Module):
    """Item vectors from ids and attributes; user states from item vectors."""

    item_codes: Tensor
    trained: Tensor

    def __init__(
        self,
        inputs: UserTowerInputs,
        item_fields: Sequence[FieldSize],
        item_codes: Tensor,
        trained: Tensor,
        config: TowerConfig,
    ) -> None:
        """`item_codes` int64 [R, A]; `trained` bool [R]: items whose id has events to learn from."""
        super().__init__()
        dim = config.embedding_dim
        self.register_buffer("item_codes", item_codes, persistent=False)
        self.register_buffer("trained", trained[:, None].float(), persistent=False)
        self.ids = nn.Parameter(torch.randn(len(item_codes), dim) * dim**-0.5)
        self.item_tower = ItemTower(dim, item_fields, config)
        self.user_tower = UserTower(inputs, config)
        self._catalogue: Bags | None = None

    def id_vectors(self) -> Tensor:
        """float32 [R, E]; zero where there is no trained id."""
        return self.ids * self.trained

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """float32 [n, D] of some rows, or of all."""
        if rows is not None:
            some: Tensor = self.item_tower(self.id_vectors()[rows], self.item_codes[rows])
            return some
        every: Tensor = self.item_tower(self.id_vectors(), self._all_codes())
        return every

    def _all_codes(self) -> Tensor | Bags:
        """What the item tower reads of the whole catalogue; in training its bags, which are laid out once."""
        content = self.item_tower.content
        if not self.training or content is None:
            return self.item_codes
        if self._catalogue is None:
            self._catalogue = content.fields.bags(self.item_codes)
        return self._catalogue

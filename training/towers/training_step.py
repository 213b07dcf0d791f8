"""One step of fitting the two towers: one softmax over items for every event of every history.

Every step draws from a seed of its own: a fit that was killed and taken up again walks through the same
weights, on the processor; a GPU adds up in any order. R item rows, B windows, S positions, N targets of a
batch, D embedding_dim.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.config import TowerConfig
from models.losses import full_softmax_loss, sampled_softmax_loss
from models.two_towers import TwoTowers
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData
from training.towers.negatives import Negatives
from training.towers.processes import ALONE, Processes, windows_in
from training.towers.ranks import TOP, gains_of, target_ranks, user_states
from training.towers.start import Start, start_from
from training.towers.starting_vectors import starting_vectors


class TowerFitting(lightning.LightningModule):
    """The training loop's view of the two towers; only items that ever were a target stand in its softmax."""

    rivals: Tensor
    place: Tensor

    def __init__(
        self,
        data: TowerData,
        towers: TowerConfig,
        fit: TowerFitConfig,
        seed: int,
        steps: int,
        start: Start | None = None,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__()
        self._towers, self._fit, self._seed, self._processes = towers, fit, seed, processes
        self._hidden = data.hidden
        codes = torch.from_numpy(data.item_codes)
        trained = torch.from_numpy(data.occurrences > 0)
        self.register_buffer("rivals", trained.nonzero()[:, 0], persistent=False)  # [I]
        self.register_buffer("place", trained.cumsum(0) - 1, persistent=False)  # [R]: where a row stands among them
        self.model = TwoTowers(data.inputs, data.item_fields, codes, trained, towers)
        starts = starting_vectors(data.turns, len(codes), towers.embedding_dim, seed)
        self.model.ids.data.copy_(torch.from_numpy(starts))
        if start is not None:
            start_from(start, self.model)
        decay = math.exp(-1 / (fit.average_epochs * max(steps, 1)))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.model, multi_avg_fn=average).requires_grad_(False)
        sampled = len(codes) > fit.max_full_softmax
        self.negatives = Negatives(data.occurrences, fit.negatives) if sampled else None

    def on_train_batch_start(self, *_: Any) -> None:
        """Draw this step's dropout and negatives from a seed of its own."""
        torch.manual_seed(self._seed * 1_000_003 + self.global_step)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Nats per target."""
        loss = self._sampled(batch) if self.negatives else self._full(batch)
        loss = self._processes.part_of_loss(loss, batch)
        several = self._processes.several
        self.log(
            "loss", loss, on_epoch=True, on_step=False, batch_size=windows_in(batch), prog_bar=True, sync_dist=several
        )
        return loss

    def _own_draws(self) -> None:
        """What follows is drawn by each process for itself."""
        self._processes.own_draws(self._seed * 1_000_003 + self.global_step)

    def _full(self, batch: dict[str, Tensor]) -> Tensor:
        self._own_draws()
        with self._narrow():
            vectors = self.model.item_vectors()
            states = user_states(self.model.user_tower, F.embedding(batch["item_rows"], vectors), batch)
        chosen = batch["weights"] > 0  # [B, S]
        queries = states[chosen] / self._towers.temperature  # [N, D]
        targets = self.place[batch["targets"][chosen]]
        return full_softmax_loss(
            queries,
            targets,
            vectors.index_select(0, self.rivals),
            batch["weights"][chosen],
            narrow_type(self.device.type),
        )

    def _sampled(self, batch: dict[str, Tensor]) -> Tensor:
        assert self.negatives is not None
        chosen = batch["weights"] > 0
        targets = batch["targets"][chosen]  # [N]
        drawn, log_weights = (one.to(self.device) for one in self.negatives.draw())  # [S]
        self._own_draws()
        with self._narrow():
            vectors, (read, of_targets, of_drawn) = self._vectors_of(batch["item_rows"], targets, drawn)
            states = user_states(self.model.user_tower, F.embedding(read, vectors), batch)
        return sampled_softmax_loss(
            states[chosen] / self._towers.temperature,
            vectors.index_select(0, of_targets),
            targets,
            vectors.index_select(0, of_drawn),
            drawn,
            log_weights,
            batch["weights"][chosen],
            narrow_type(self.device.type),
        )

    def _vectors_of(self, *rows: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Vectors of the given rows, each made once, float32 [n, D], and where each of them stands among these."""
        distinct, places = torch.unique(torch.cat([one.flatten() for one in rows]), return_inverse=True)
        split = places.split([one.numel() for one in rows])
        return self.model.item_vectors(distinct), [at.view_as(one) for at, one in zip(split, rows, strict=True)]

    def _narrow(self) -> torch.autocast:
        """Matrix products of both towers in bfloat16 where that is native; sums, norms and vectors stay float32."""
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=narrow_type(kind) == torch.bfloat16)

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the average."""
        self.averaged.update_parameters(self.model)

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """NDCG@10 and Recall@10 of the averaged weights over all known items, without what is hidden."""
        ranks = self._ranks(batch)
        hits = (ranks < TOP).float()
        several = self._processes.several
        self.log("ndcg", gains_of(ranks).mean(), batch_size=len(ranks), prog_bar=True, sync_dist=several)
        self.log("recall", hits.mean(), batch_size=len(ranks), sync_dist=several)

    def _ranks(self, batch: dict[str, Tensor]) -> Tensor:
        """Place of each person's target, from 0; float32 [B]."""
        model = cast(TwoTowers, self.averaged.module)
        known = model.trained[:, 0] > 0
        return target_ranks(model.user_tower, model.item_vectors(), batch, self._hidden, known)

    def configure_optimizers(self) -> Any:
        """AdamW with a linear warm-up."""
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self._fit.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self._fit.weight_decay,
            fused=True,
        )
        warmup = self._fit.warmup_steps
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup + 1)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@cache
def narrow_type(kind: str = "cpu") -> torch.dtype:
    """bfloat16 where a kind of device multiplies it natively, else float32.

    On a processor a full softmax is three times faster, a step a fifth.
    """
    match kind:
        case "cpu":
            native = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
        case "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        case _:
            native = False
    return torch.bfloat16 if native else torch.float32

"""Fitting the two towers: one softmax over items for every event of every history.

Needs neither FAISS nor BentoML, so that it runs on a bare machine. What is kept is a running average of the
weights that the optimiser walks through; it stands in for a falling learning rate, so that fitting may end
after any epoch. Every step draws from a seed of its own: a fit that was killed and taken up again ends in
the same weights, on the processor; a GPU adds up in any order. R item rows, B windows, S positions, N targets
of a batch, D embedding_dim.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from pydantic import Field
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from features.arrays import FloatArray, IntArray
from features.errors import ConfigError, DataError
from features.strict import StrictConfig
from models.config import TowerConfig
from models.item_tower import ItemTower
from models.losses import full_softmax_loss, sampled_softmax_loss
from models.two_towers import TwoTowers
from models.user_tower import UserTower
from training.allocator import keep_freed_memory
from training.progress import ProgressBar
from training.quiet import quiet
from training.towers.batches import BatchPlan, WindowBatches
from training.towers.data import TowerData
from training.towers.negatives import Negatives
from training.towers.newcomers import fit_newcomers
from training.towers.processes import ALONE, Processes, ask, require_processes, strategy_of, windows_in
from training.towers.start import Start, start_from
from training.towers.starting_vectors import starting_vectors
from training.towers.stopping import KeepBest
from training.watch import FitWatch

CHECKPOINT = "last"
MIN_STEPS = 100
MIN_WINDOWS = 8
TOP = 10


class TowerFitConfig(StrictConfig):
    """How the two towers are fitted."""

    accelerator: Literal["cpu", "cuda"] = "cpu"
    """Where: `cuda` takes GPUs, and a PyTorch that was built for it."""
    devices: int = Field(default=1, ge=1)
    """Processes a node, each with a processor's cores or a GPU of its own; more than one in all is started by
    `torchrun`, and fits as one would: docs/scaling.md."""
    num_nodes: int = Field(default=1, ge=1)
    """Machines that fit together."""
    strategy: Literal["auto", "ddp"] = "auto"
    """How several processes fit: `ddp` averages their gradients; `auto` does so when there are several."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Step size of AdamW, reached after the warm-up."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps over which the learning rate grows from zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Gradients longer than this are shortened."""
    batch_windows: int = Field(default=4_096, ge=1)
    """Most histories in one step."""
    batch_positions: int = Field(default=6_400, ge=1)
    """Most positions in one step, padding included; bounds memory."""
    average_epochs: float = Field(default=1.0, gt=0)
    """Time constant of the running average of weights, in epochs."""
    max_epochs: int = Field(default=60, ge=1)
    """Fitting ends here at the latest."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better NDCG@10 on the validation people, after which fitting ends."""
    max_minutes: float = Field(default=20.0, gt=0)
    """Fitting ends after the epoch that exceeds this, unless the number of epochs is given."""
    max_full_softmax: int = Field(default=8_000, ge=0)
    """Largest catalogue over which the softmax runs in full; above it, negatives are sampled."""
    negatives: int = Field(default=4_096, ge=1)
    """Sampled negatives, shared by a step: half drawn evenly, half by popularity."""


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


class FitJob(NamedTuple):
    """Everything that a process must know to take part in a fit."""

    data: TowerData
    towers: TowerConfig
    fit: TowerFitConfig
    run_dir: Path
    """Where checkpoints lie; a folder that all processes see."""
    epochs: int | None
    seed: int
    start: Start | None
    resumed: bool
    """Whether the fit goes on from the checkpoint."""


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


def validation_gains(fitted: FittedTowers, data: TowerData, fit: TowerFitConfig) -> FloatArray:
    """NDCG@10 of each validation person, float32 [P]."""
    gains = torch.zeros(len(data.validation))
    with torch.no_grad():
        vectors = fitted.item_tower(torch.from_numpy(fitted.id_embeddings), torch.from_numpy(data.item_codes))
        known = torch.from_numpy(data.occurrences > 0)
        for batch in _validation(data, fit):
            gains[batch["numbers"]] = gains_of(target_ranks(fitted.user_tower, vectors, batch, data.hidden, known))
    return np.asarray(gains.numpy())


def _validation(data: TowerData, fit: TowerFitConfig) -> DataLoader[dict[str, Tensor]]:
    numbers = np.argsort(data.validation.lengths, kind="stable")
    batches = [numbers[start : start + fit.batch_windows] for start in range(0, len(numbers), fit.batch_windows)]
    return DataLoader(WindowBatches(data.validation), sampler=batches, batch_size=None)


def _checkpoints(run_dir: Path) -> ModelCheckpoint:
    """The newest epoch only, under one name."""
    return ModelCheckpoint(
        dirpath=run_dir,
        filename=CHECKPOINT,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )


def fit_towers(
    data: TowerData,
    towers: TowerConfig,
    fit: TowerFitConfig,
    run_dir: Path,
    *,
    epochs: int | None = None,
    seed: int = 0,
    watch: FitWatch | None = None,
    start: Start | None = None,
) -> FittedTowers:
    """Fit until the validation people gain no more, or for a given number of `epochs`, from `start` or from nothing.

    Takes up the last checkpoint of `run_dir`, where metrics.csv is written too. Raises DataError when there
    is nothing to learn from, or nobody to validate on and no number of epochs, ConfigError when the accelerator is
    not there; and whatever `watch` raises.
    """
    _require_accelerator(fit)
    require_processes(Processes.now(), fit.devices, fit.num_nodes)
    _require_something_to_learn(data, epochs)
    run_dir.mkdir(parents=True, exist_ok=True)
    resumed = (run_dir / f"{CHECKPOINT}.ckpt").exists()
    job = FitJob(data, towers, fit, run_dir, epochs, seed, start, resumed)
    if Processes.now().several:
        ask(job)
    module, keep = fit_part(job, watch)
    fitted = module.model.eval()
    fitted.load_state_dict(keep.weights)
    fit_newcomers(fitted, seed)
    ids = fitted.id_vectors().detach().numpy()
    return FittedTowers(fitted.item_tower, fitted.user_tower, ids, keep.best_epoch + 1, keep.history)


def fit_part(job: FitJob, watch: FitWatch | None = None) -> tuple[TowerFitting, KeepBest]:
    """What each process does of a fit; all of it, where there is only one."""
    fit, processes = job.fit, Processes.now()
    keep_freed_memory()
    torch.manual_seed(job.seed)
    plan = batch_plan(job.data.windows.lengths, fit, job.seed)
    module = TowerFitting(job.data, job.towers, fit, job.seed, len(plan), job.start, processes)
    minutes = None if job.epochs else fit.max_minutes
    keep = KeepBest(module.averaged.module, fit.patience, minutes, job.run_dir / "metrics.csv", watch)
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=job.epochs or fit.max_epochs,
            accelerator=fit.accelerator,
            devices=fit.devices,
            num_nodes=fit.num_nodes,
            strategy=strategy_of(fit.strategy, processes),
            callbacks=[keep, _checkpoints(job.run_dir), ProgressBar("towers")],
            logger=False,
            gradient_clip_val=fit.clip_norm,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,
        )
        trainer.fit(
            module,
            DataLoader(processes.batches(job.data.windows), sampler=plan, batch_size=None),
            _validation(job.data, fit) if job.epochs is None else None,
            ckpt_path=str(job.run_dir / f"{CHECKPOINT}.ckpt") if job.resumed else None,
            weights_only=True,
        )
    return module, keep


def batch_plan(lengths: IntArray, fit: TowerFitConfig, seed: int) -> BatchPlan:
    """Batches as large as the settings allow, but at least about `MIN_STEPS` an epoch: small data needs steps too."""
    windows = max(MIN_WINDOWS, len(lengths) // MIN_STEPS)
    positions = max(int(lengths.max()), int(lengths.sum()) // MIN_STEPS)
    return BatchPlan(lengths, min(fit.batch_windows, windows), min(fit.batch_positions, positions), seed)


def _require_accelerator(fit: TowerFitConfig) -> None:
    if fit.accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"cuda is asked for, but PyTorch {torch.__version__} finds no CUDA device",
            field="tower_fit.accelerator",
            hint="See that `nvidia-smi` names a device, install a PyTorch built for CUDA, or set it to cpu.",
        )


def _require_something_to_learn(data: TowerData, epochs: int | None) -> None:
    if len(data.windows) == 0:
        raise DataError(
            "no event of a positive type with a known item is left to learn from; the towers cannot be fitted",
            hint="Check `dataset.types`: at least one positive type with a weight above 0 must occur.",
        )
    if epochs is None and len(data.validation) == 0:
        raise DataError(
            "there is nobody to validate on, and early stopping needs somebody",
            hint="Give the number of epochs, or data in which some user has three events or more.",
        )

"""Fitting the ranker on the pipeline's own examples."""

from typing import Any, Literal, TypeAlias

import numpy as np
import pytorch_lightning as pl
import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader

from features.arrays import FloatArray, IntArray
from features.strict import StrictConfig
from models.config import RankerConfig
from models.losses import ranking_loss
from models.ranker import PositionTower, Ranker
from training.allocator import keep_freed_memory
from training.progress import ProgressBar
from training.ranker.batches import ExampleNumbers, RankerBatch, ShortLists, WholeLists
from training.ranker.examples import Examples
from training.watch import FitWatch

Negatives: TypeAlias = Literal["auto", "shown", "candidates"]
MOST_SLOTS = 100
"""Slots of a list that are told apart."""
POSITION_PACE = 10.0
"""The few numbers of the position tower take steps so much larger than those of the ranker."""
MIN_STEPS = 100
MIN_BATCH = 8
"""Few examples are taken in small batches, down to this, so that an epoch has about `MIN_STEPS` steps."""

LEAST_SCHEDULE = 20
"""Steps below which torch's one-cycle schedule divides by zero."""


class RankerFitConfig(StrictConfig):
    """How the ranker is fitted."""

    max_examples: int = Field(default=40_000, ge=1)
    """Examples drawn from slice B, evenly over its moments."""
    epochs: int = Field(default=8, ge=1)
    """Passes over the examples; the best by the held-out tenth is kept."""
    batch_size: int = Field(default=64, ge=1)
    """Examples per step."""
    list_size: int = Field(default=128, ge=4)
    """Most candidates of an example in a step: half of them those that the prior puts first, the rest drawn."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Highest step size of AdamW; it falls to zero along a cosine."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of AdamW."""
    binary_weight: float = Field(default=0.1, ge=0)
    """Weight of binary cross-entropy beside the listwise loss."""
    negatives: Negatives = "auto"
    """What an item that was taken is held against. auto: where it stood in a list that was shown, the items that were
    shown with it and not taken; elsewhere the candidates of the sources. shown: only the former. candidates: only the
    latter, as where the tables do not tell what was shown in which slot."""
    acted_within_hours: float = Field(default=24.0, gt=0)
    """An item that was shown counts as taken when it was acted on so soon after."""
    position: bool = True
    """Whether the slot in which an item was shown is an input of the fit; in service it is a constant."""


class RankerFit(pl.LightningModule):
    """The ranker with its loss, its optimiser, and the frozen item vectors."""

    def __init__(
        self,
        ranker: Ranker,
        item_vectors: Tensor,
        config: RankerFitConfig,
        steps: int,
        watch: FitWatch | None = None,
        position: PositionTower | None = None,
    ) -> None:
        super().__init__()
        self.position = position
        self._watch = watch
        self.ranker = ranker
        self.config = config
        self.steps = steps
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.best = float("inf")
        self.best_weights: dict[str, Tensor] = {}
        self._losses: list[float] = []

    def logits(self, batch: RankerBatch) -> Tensor:
        """[B, K, H]"""
        vectors = self.item_vectors
        assert isinstance(vectors, Tensor)
        past = batch.history_rows
        logits: Tensor = self.ranker(batch.features, vectors[batch.rows], vectors[past], (past > 0).float())
        return logits if self.position is None else logits + self.position(batch.slots)

    def training_step(self, batch: RankerBatch, _: int) -> Tensor:
        loss = self._loss(batch, self.config.binary_weight)
        self.log("ranker_loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Let the watch look on; epochs are not comparable before the step size has fallen, so it sees none."""
        if self._watch:
            self._watch([])

    def validation_step(self, batch: RankerBatch, _: int) -> None:
        self._losses.append(float(self._loss(batch, binary_weight=0.0)) * len(batch.targets))

    def _loss(self, batch: RankerBatch, binary_weight: float) -> Tensor:
        return ranking_loss(self.logits(batch), batch.targets, batch.heads, batch.weights, binary_weight)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.sanity_checking:
            self._losses.clear()
            return
        total, self._losses = sum(self._losses), []
        self.log("ranker_validation_loss", total)
        if total < self.best:
            self.best = total
            self.best_weights = {name: value.clone() for name, value in self.state_dict().items()}

    def configure_optimizers(self) -> Any:
        rate, decay = self.config.learning_rate, self.config.weight_decay
        groups: list[dict[str, Any]] = [{"params": self.ranker.parameters(), "weight_decay": decay, "lr": rate}]
        if self.position is not None:
            pace = rate * POSITION_PACE
            groups.append({"params": self.position.parameters(), "weight_decay": 0.0, "lr": pace})
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [group["lr"] for group in groups],
            total_steps=max(self.steps, LEAST_SCHEDULE),
            pct_start=0.1,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit_ranker(
    examples: Examples,
    item_vectors: FloatArray,
    n_heads: int,
    shape: RankerConfig,
    config: RankerFitConfig,
    *,
    prior: FloatArray,
    seed: int,
    watch: FitWatch | None = None,
    position: PositionTower | None = None,
) -> Ranker:
    """The ranker that orders a held-out tenth of the examples best; `position` is fitted beside it, in place.

    It starts as a blend of the standardised features with the weights `prior` float32 [F], at the base rate of each
    head; where examples are few it stays near that.
    """
    keep_freed_memory()
    pl.seed_everything(seed, workers=True, verbose=False)
    ranker = Ranker(examples.features.shape[2], n_heads, shape)
    ranker.standardise.set(*_moments(examples))
    ranker.start_from(torch.from_numpy(prior), torch.from_numpy(_base_rates(examples)))
    held_out, kept = split(len(examples), seed)
    batch_size = min(config.batch_size, max(MIN_BATCH, len(kept) // MIN_STEPS))
    train = _loader(ShortLists(examples, kept, prior, config.list_size, seed), batch_size, seed, shuffle=True)
    steps = config.epochs * len(train)
    fit = RankerFit(ranker, torch.from_numpy(np.array(item_vectors)), config, steps, watch, position)
    trainer = pl.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        callbacks=[ProgressBar("ranker")],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        log_every_n_steps=1,
        deterministic=True,
    )
    validation = _loader(WholeLists(examples, held_out), config.batch_size, seed, shuffle=False)
    trainer.validate(fit, validation, verbose=False)
    trainer.fit(fit, train, validation)
    fit.load_state_dict(fit.best_weights)
    return ranker.eval()


def position_tower(examples: Examples, config: RankerFitConfig, n_heads: int) -> PositionTower | None:
    """The tower that is fitted beside a ranker on these examples; None where no slot is known or none is wanted."""
    slots = min(int(examples.slots.max(initial=0)), MOST_SLOTS)
    return PositionTower(slots, n_heads) if slots and config.position else None


def learned_from(examples: Examples, position: PositionTower | None) -> dict[str, Any]:
    """How many examples are lists that were shown, and how readily each slot is looked at, relative to the first."""
    shown = int((examples.slots.max(axis=1, initial=0) > 0).sum())
    told: dict[str, Any] = {"lists_shown": shown, "lists_of_candidates": len(examples) - shown}
    if position is not None:
        told["slots_examined"] = torch.exp(position.examined - position.examined[0]).tolist()
    return told


def split(count: int, seed: int) -> tuple[IntArray, IntArray]:
    """Numbers of the examples that are held out, a tenth, and of those that are fitted on."""
    order = np.random.default_rng(seed).permutation(count)
    held_out, kept = np.split(order, [max(1, count // 10)])
    return held_out, kept


def held_out_logits(ranker: Ranker, examples: Examples, item_vectors: FloatArray, seed: int) -> list[FloatArray]:
    """What a ranker fitted with this seed says of each held-out example's candidates: float32 [K, H] each."""
    held_out, _ = split(len(examples), seed)
    fit = RankerFit(ranker, torch.from_numpy(np.array(item_vectors)), RankerFitConfig(), steps=0)
    widths = (examples.rows[held_out] > 0).sum(axis=1)
    found: list[FloatArray] = []
    with torch.no_grad():
        for batch in _loader(WholeLists(examples, held_out), RankerFitConfig().batch_size, seed, shuffle=False):
            found.extend(fit.logits(batch).numpy())
    return [logits[:width] for logits, width in zip(found, widths, strict=True)]


def _base_rates(examples: Examples) -> FloatArray:
    """float32 [H]: share of all candidates that were taken, by head; never quite zero."""
    candidates = (examples.rows > 0).sum()
    rates: FloatArray = ((examples.heads.sum(axis=0) + 0.5) / (candidates + 1.0)).astype(np.float32)
    return rates


def _moments(examples: Examples) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over all real candidates."""
    real = examples.features[examples.rows > 0]
    return (
        torch.from_numpy(real.mean(axis=0, dtype=np.float64).astype(np.float32)),
        torch.from_numpy(real.std(axis=0, dtype=np.float64).astype(np.float32)),
    )


def _loader(lists: WholeLists, batch_size: int, seed: int, *, shuffle: bool) -> "DataLoader[Any]":
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(
        ExampleNumbers(len(lists.keep)), batch_size=batch_size, shuffle=shuffle, collate_fn=lists, generator=generator
    )

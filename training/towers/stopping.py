"""When to stop fitting the towers, and which weights to keep.

With validation people: the weights of the best epoch, until some epochs bring nothing better. Without: the
last. All of it lies in the checkpoint, so that a fit that is taken up again stops where it would have
stopped.
"""

import csv
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from torch import Tensor, nn

from training.watch import FitWatch

METRIC = "ndcg"


class KeepBest(lightning.Callback):
    """Remembers the weights of the best epoch and stops after `patience` epochs without a better one."""

    def __init__(
        self,
        averaged: nn.Module,
        patience: int,
        max_minutes: float | None,
        log: Path,
        watch: FitWatch | None = None,
    ) -> None:
        self._log = log
        self._watch = watch
        self._averaged = averaged
        self.history: list[dict[str, float]] = []
        self.weights: dict[str, Tensor] = {}
        self.best_epoch = -1
        self._patience = patience
        self._max_seconds = None if max_minutes is None else max_minutes * 60
        self._seconds = 0.0
        self._started = 0.0

    @property
    def finished(self) -> bool:
        """Whether patience or time has run out."""
        late = self._max_seconds is not None and self._seconds > self._max_seconds
        return late or len(self.history) - 1 - self.best_epoch >= self._patience

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """A fit that had finished is not gone on with."""
        self._started = time.monotonic() - self._seconds
        trainer.should_stop = self.finished

    def on_train_batch_end(self, *_: Any) -> None:
        """Let the watch look on."""
        if self._watch:
            self._watch(self.history)

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """Judge the epoch; runs after validation."""
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._seconds = time.monotonic() - self._started
        self.history.append({**found, "seconds": self._seconds})
        best = self.history[self.best_epoch].get(METRIC) if self.best_epoch >= 0 else None
        if best is None or METRIC not in found or found[METRIC] > best:
            self.best_epoch = len(self.history) - 1
            self.weights = {name: weight.detach().clone() for name, weight in self._averaged.state_dict().items()}
        if trainer.is_global_zero:
            self._write_log()
        late = trainer.strategy.reduce_boolean_decision(self.finished, all=False)  # clocks of several processes differ
        trainer.should_stop = trainer.should_stop or late
        if self._watch:
            self._watch(self.history)

    def _write_log(self) -> None:
        """All epochs so far, also those before a resumption."""
        with self._log.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *self.history[0]])
            writer.writeheader()
            writer.writerows({"epoch": epoch, **record} for epoch, record in enumerate(self.history, start=1))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "history": self.history,
            "weights": self.weights,
            "best_epoch": self.best_epoch,
            "seconds": self._seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.history = state_dict["history"]
        self.weights = state_dict["weights"]
        self.best_epoch = state_dict["best_epoch"]
        self._seconds = state_dict["seconds"]

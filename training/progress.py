"""Lightning's progress bar as every other of ours: on stderr, and only where somebody watches."""

import sys
from typing import Any

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm


class ProgressBar(TQDMProgressBar):
    """One line per fit; stdout is left to results."""

    def __init__(self, label: str, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._label = label

    def init_train_tqdm(self) -> Tqdm:
        """The bar over the steps of an epoch."""
        return self._bar(position=0, label=self._label)

    def init_validation_tqdm(self) -> Tqdm:
        """The bar over the batches of a validation, below the other."""
        return self._bar(position=1, label=f"{self._label}, validating")

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Begin the bar anew, under the number of the epoch, from 1."""
        self.train_progress_bar.reset(int(self.total_train_batches))
        self.train_progress_bar.set_description(f"{self._label}, epoch {trainer.current_epoch + 1}")

    def on_validation_batch_start(self, *_: Any) -> None:
        """Learn how many batches there are; our fits validate on one loader."""
        if self.has_dataloader_changed(0):
            self.val_progress_bar.reset(int(self.total_val_batches_current_dataloader))

    def _bar(self, position: int, label: str) -> Tqdm:
        watched = sys.stderr.isatty() and not self.is_disabled
        return Tqdm(
            desc=label, position=position, disable=not watched, leave=False, dynamic_ncols=True, file=sys.stderr
        )

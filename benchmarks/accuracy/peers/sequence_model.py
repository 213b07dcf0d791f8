"""RecTools SASRec and HSTU with the settings of the published comparison, until the budget is used.

The last event of some users is left out of fitting, and the epoch with the least loss on them is kept, as RecTools'
own tutorials do; lists are then made from whole histories. Our data have an order but no times, which HSTU's relative
attention would read: that part of it is off.
"""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import HSTUModel, SASRecModel

from benchmarks.accuracy.peers.job import Job

NEGATIVES = 256
BATCH = 128
LEARNING_RATE = 1e-3
PATIENCE = 50
VALIDATION_USERS = 500
SETTINGS = {"loss": "sampled softmax", "negatives": NEGATIVES, "batch": BATCH, "learning_rate": LEARNING_RATE}


class EpochSeconds(lightning.Callback):
    """Wall time of every epoch's fitting, validation left out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(round(time.perf_counter() - self._started, 2))


def last_of_some(interactions: pd.DataFrame, seed: int) -> np.ndarray:
    """bool [N]: the last event of a few users, drawn evenly."""
    users = interactions[Columns.User].unique()
    count = min(VALIDATION_USERS, len(users) // 5)
    chosen = np.random.default_rng(seed).choice(users, count, replace=False)
    newest = interactions.groupby(Columns.User)[Columns.Datetime].transform("max") == interactions[Columns.Datetime]
    return np.asarray(newest & interactions[Columns.User].isin(chosen))


def main(job: Job) -> None:
    """Fit, and write lists unless only the time of epochs is asked for."""
    started = time.perf_counter()
    lightning.seed_everything(job.seed, verbose=False)
    events = job.events()
    dataset = Dataset.construct(interactions(events))
    model = model_of(job)
    model.fit(dataset)
    clock = _callback(model, EpochSeconds)
    best = _callback(model, ModelCheckpoint)
    if best is not None and best.best_model_path:
        model.load_weights_from_checkpoint(best.best_model_path)
    train_seconds = time.perf_counter() - started
    if not job.epochs:
        found = model.recommend(job.users(), dataset, k=job.k, filter_viewed=True, on_unsupported_targets="ignore")
        job.write_lists(found[Columns.User].tolist(), found[Columns.Item].tolist(), found[Columns.Rank].tolist())
    detail = {
        "epochs": len(clock.seconds),
        "epoch_seconds": clock.seconds,
        "best_validation_loss": None if best is None or best.best_model_score is None else float(best.best_model_score),
    }
    job.tell(train_seconds, detail, **job.shape, **SETTINGS)


def _callback(model: Any, kind: type) -> Any:
    """The callback of a kind that the fit used: RecTools copies the trainer that it is given."""
    return next((one for one in model.fit_trainer.callbacks if isinstance(one, kind)), None)


def interactions(events: pd.DataFrame) -> pd.DataFrame:
    """RecTools' columns; positions stand in for times, of which only the order is read."""
    return pd.DataFrame(
        {
            Columns.User: events["user_id"],
            Columns.Item: events["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(events["position"], unit="s"),
        }
    )


def model_of(job: Job) -> Any:
    """The peer's model, not fitted."""
    kind, more = (
        (SASRecModel, {}) if job.system == "rectools-sasrec" else (HSTUModel, {"relative_time_attention": False})
    )
    validation = {} if job.epochs else {"get_val_mask_func": lambda frame: last_of_some(frame, job.seed)}
    return kind(
        n_factors=int(job.shape["dim"]),
        n_blocks=int(job.shape["blocks"]),
        n_heads=int(job.shape["heads"]),
        dropout_rate=job.shape["dropout"],
        session_max_len=int(job.shape["length"]),
        loss="sampled_softmax",
        n_negatives=NEGATIVES,
        lr=LEARNING_RATE,
        batch_size=BATCH,
        get_trainer_func=lambda: trainer_of(job),
        **validation,
        **more,
    )


def trainer_of(job: Job) -> lightning.Trainer:
    """Until the budget is used or the loss has not fallen for long; or for a number of epochs."""
    best = ModelCheckpoint(job.output, "best", monitor="val_loss", enable_version_counter=False)
    watch = [] if job.epochs else [best, EarlyStopping("val_loss", patience=PATIENCE)]
    return lightning.Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        max_epochs=job.epochs or 10_000,
        max_time=None if job.epochs else timedelta(seconds=job.budget_seconds),
        callbacks=[EpochSeconds(), *watch],
        default_root_dir=str(Path(job.output)),
        logger=False,
        enable_checkpointing=not job.epochs,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


if __name__ == "__main__":
    main(Job.of_command())

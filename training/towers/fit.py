"""Fitting the two towers, from the data to what is kept of the fit.

Needs neither FAISS nor BentoML, so that it runs on a bare machine. What is kept is a running average of the
weights that the optimiser walks through; it stands in for a falling learning rate, so that fitting may end
after any epoch. A fit that was killed and taken up again ends in the same weights, on the processor.
R item rows, D embedding_dim.
"""

from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from features.arrays import IntArray
from features.errors import ConfigError, DataError
from models.config import TowerConfig
from training.allocator import keep_freed_memory
from training.progress import ProgressBar
from training.quiet import quiet
from training.towers.batches import BatchPlan
from training.towers.checkpoint_file import WholeCheckpoints
from training.towers.config import TowerFitConfig
from training.towers.data import TowerData
from training.towers.fitted import FittedTowers
from training.towers.newcomers import fit_newcomers
from training.towers.processes import Processes, ask, require_processes, strategy_of
from training.towers.ranks import validation_batches
from training.towers.start import Start
from training.towers.stopping import KeepBest
from training.towers.training_step import TowerFitting
from training.watch import FitWatch

CHECKPOINT = "last"
MIN_STEPS = 100
MIN_WINDOWS = 8


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
            plugins=[WholeCheckpoints()],
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
            validation_batches(job.data, fit) if job.epochs is None else None,
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

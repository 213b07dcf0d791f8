"""One fit of the towers by several processes, as `torchrun` starts them: the same steps as one process would take.

Every process holds the model and the windows. Of each batch it takes its part; gradients are averaged, so a part's
loss counts by the weight of its targets in the whole batch. Negatives are drawn from the same seed everywhere: the
softmax of a part has the negatives, and the logQ correction, of the whole batch.

The first process trains and asks the others whenever there is something to fit; they know nothing else of the training.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import Tensor, distributed

from features.arrays import IntArray
from features.errors import ConfigError
from training.towers.batches import WindowBatches
from training.towers.windows import Windows

PATIENCE = timedelta(days=7)
"""How long the others wait to be asked: tables are read and rankers fitted meanwhile."""
WHOLE = "whole_weight"
COUNT = "whole_windows"


class Processes(NamedTuple):
    """How many fit together, and which of them this is."""

    size: int = 1
    rank: int = 0

    @classmethod
    def now(cls) -> "Processes":
        """Those that `joined` brought together; one outside of it."""
        if not distributed.is_initialized():
            return ALONE
        return cls(distributed.get_world_size(), distributed.get_rank())

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.size > 1

    def batches(self, windows: Windows) -> WindowBatches:
        """This process's part of every batch."""
        return PartOfBatches(windows, self) if self.several else WindowBatches(windows)

    def part_of_loss(self, loss: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """What a part's weighted mean counts, such that the mean over processes is that of the whole batch."""
        if not self.several:
            return loss
        return loss * (batch["weights"].sum() / batch[WHOLE] * self.size)

    def own_draws(self, seed: int) -> None:
        """From here on, what is drawn is this process's own: dropout of the same places would be no dropout."""
        if self.several:
            torch.manual_seed(seed + self.rank * 7_368_787)


ALONE = Processes()


class PartOfBatches(WindowBatches):
    """Every so many windows of a batch, and what the whole batch weighs."""

    def __init__(self, windows: Windows, processes: Processes) -> None:
        super().__init__(windows)
        self._processes = processes
        starts = windows.starts[:-1]
        sums = np.add.reduceat(windows.weights.astype(np.float64), starts) if len(starts) else np.empty(0)
        self._weights = sums

    def __getitem__(self, chosen: IntArray) -> dict[str, Tensor]:
        """A batch smaller than the number of processes leaves some with a window that counts nothing."""
        mine = chosen[self._processes.rank :: self._processes.size]
        batch = super().__getitem__(mine if len(mine) else chosen[:1])
        if not len(mine):
            batch["weights"] = torch.zeros_like(batch["weights"])
        whole = torch.tensor(self._weights[chosen].sum(), dtype=torch.float32)
        return {**batch, WHOLE: whole, COUNT: torch.tensor(len(chosen))}


def windows_in(batch: dict[str, Tensor]) -> int:
    """Of the whole batch, of which this process may hold a part."""
    return int(batch[COUNT]) if COUNT in batch else len(batch["lengths"])


def strategy_of(name: Literal["auto", "ddp"], processes: Processes) -> Strategy | str:
    """Lightning's. Every step reaches every weight of the towers, so that none needs to be looked for."""
    if name == "auto" and not processes.several:
        return "auto"
    return DDPStrategy(find_unused_parameters=False, forward_sync_buffers=False)


def require_processes(here: Processes, devices: int, num_nodes: int) -> None:
    """Raise ConfigError when another number of processes is running than the config wants."""
    wanted = devices * num_nodes
    if here.size != wanted:
        raise ConfigError(
            f"{wanted} processes are to fit the towers (devices {devices}, num_nodes {num_nodes}), and {here.size} "
            f"{'is' if here.size == 1 else 'are'} running",
            field="tower_fit.devices",
            hint="`torchrun` starts them, and only `tailorbird train` asks them: see docs/scaling.md.",
        )


def ask(job: Any) -> None:
    """Tell the other processes what to fit; every one of them then does what this one does."""
    distributed.broadcast_object_list([job], group=_waiting())


@cache
def _waiting() -> distributed.ProcessGroup | None:
    """The group in which the others wait, for as long as it takes; in a step nobody waits longer than torch's own."""
    group: distributed.ProcessGroup | None = distributed.new_group(backend="gloo", timeout=PATIENCE)
    return group


@contextmanager
def joined(fit: Callable[[Any], Any]) -> Iterator[None]:
    """Only the first of the processes that `torchrun` started goes on from here.

    The others do what it asks for, by `fit`, and exit when it is done.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    if distributed.get_rank() == 0:
        yield
        ask(None)  # not after an error: the others may be in the middle of a step, and torchrun ends them
    else:
        while (job := _asked()) is not None:
            fit(job)
    helped = distributed.get_rank() > 0
    distributed.destroy_process_group()
    if helped:
        sys.exit(0)


def _asked() -> Any:
    """The next job; None when there is none left."""
    box: list[Any] = [None]
    distributed.broadcast_object_list(box, group=_waiting())
    return box[0]

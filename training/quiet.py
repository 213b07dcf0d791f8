"""What other libraries say in passing is kept from the user's terminal; what they warn of still reaches it.

Named one by one: Lightning's greetings and advice, the exporter's list of torchvision operators that are not
installed, Optuna's word on each trial, and a deprecation between torch and Lightning that nobody here can mend.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = {
    "pytorch_lightning.utilities.rank_zero": logging.WARNING,
    "torch.onnx._internal.exporter._registration": logging.ERROR,
    "optuna": logging.WARNING,
}
"""Least level that passes, by logger."""
MESSAGES = (
    ".isinstance.treespec, LeafSpec.. is deprecated",
    "The '[a-z_]+' does not have many workers",
    "Checkpoint directory .* exists and is not empty",
    "You defined a `validation_step` but have no `val_dataloader`",
)
"""Beginnings of warnings that are not shown."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within, and in every function that it decorates, other libraries do not chat."""
    before = {name: logging.getLogger(name).level for name in LEVELS}
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        with warnings.catch_warnings():
            for message in MESSAGES:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)

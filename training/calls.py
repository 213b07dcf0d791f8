"""What `tailorbird` offers of training, for Python and for the terminal; each imports when called."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.frames import Frames
    from training.retrain.retrain import Outcome


def train(config: Path, run: Path | None = None, frames: "Frames | None" = None) -> Path:
    """As `tailorbird.train`."""
    from training.config import read_training_config
    from training.full_disk import told_when_full
    from training.run import train as run_training

    settings, folder = read_training_config(config)
    target = run or fresh_run(config)
    with told_when_full(target):
        return run_training(settings, folder, target, frames)


def retrain(
    config: Path, runs: Path, registry: Path | str, tell: Callable[[str], None], state: str | None = None
) -> "Outcome":
    """As `tailorbird.retrain`."""
    from training.retrain.retrain import retrain as bring_up_to_date

    return bring_up_to_date(config, runs, registry, tell, state)


def tune(
    config: Path, minutes: float, run: Path | None = None, output: Path | None = None, frames: "Frames | None" = None
) -> Path:
    """As `tailorbird.tune`."""
    from training.full_disk import told_when_full
    from training.tuning.tune import tune as search

    target, folder = output or config.with_name(f"{config.stem}-tuned.yaml"), run or fresh_run(config)
    with told_when_full(folder):
        return search(config, minutes, folder, target, frames)


def evaluate(config: Path, run: Path | None, share: float, k: int) -> dict[str, Any]:
    """As `tailorbird.evaluate`."""
    from training.config import read_training_config
    from training.evaluation.rolling import evaluate as roll
    from training.full_disk import told_when_full
    from training.run import checked_tables

    settings, folder = read_training_config(config)
    target = run or fresh_run(config)
    with told_when_full(target):
        return roll(settings, checked_tables(settings, folder, target), target, share=share, k=k)


def fresh_run(config: Path) -> Path:
    """A run folder of a configuration that nobody named."""
    return Path("runs") / f"{config.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

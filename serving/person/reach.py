"""What an erasure reaches beside the store: exported logs, run folders, and the marks that trainings read."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reach:
    """Places of one machine; each may be absent."""

    exports: tuple[Path, ...] = ()
    """Folders of exported logs, out of which rows are taken."""
    searched: tuple[Path, ...] = ()
    """Folders in which nothing is changed: runs, registries, what a company names."""
    tombstones: Path | None = None
    """The file that `dataset.erased` names."""
    retraining: str | None = None
    """When the next training takes the place of the present models, in words; None without a schedule."""

"""What an erasure reaches beside the store: exported logs, run folders, and the marks that trainings read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from features.pseudonyms import Pseudonyms, pseudonyms_of
from features.strict import read_yaml
from serving.person.retraining import Retraining, retraining_of
from serving.settings import ServingConfig


@dataclass(frozen=True)
class Reach:
    """Places of one machine; each may be absent."""

    exports: tuple[Path, ...] = ()
    """Folders of exported logs, out of which rows are taken."""
    searched: tuple[Path, ...] = ()
    """Folders in which nothing is changed: runs, registries, what a company names."""
    tombstones: Path | None = None
    """The file that `dataset.erased` names."""
    retraining: Retraining | None = None
    """The schedule by which trainings take the place of the present models."""
    pseudonyms: Pseudonyms | None = None
    """Under which people stand in the store, where the configuration says so."""


NOWHERE = Reach()
"""Nothing beside the store."""


def reach_of(config: Path | None, served: Iterable[Path] = ()) -> Reach:
    """What a configuration file names, and beside it the registries and run folders that are `served`.

    Raises `ConfigError` when the file cannot be read.
    """
    searched = tuple(place for place in served if place.exists())
    if config is None:
        return Reach(searched=searched)
    content, folder = read_yaml(config), config.resolve().parent
    serving = ServingConfig.parse(content.get("serving") or {}, "serving")
    erased = (content.get("dataset") or {}).get("erased")
    return Reach(
        exports=tuple(_placed(path, folder) for path in serving.privacy.exports),
        searched=(*searched, *(_placed(path, folder) for path in serving.privacy.search)),
        tombstones=None if erased is None else _placed(erased, folder),
        retraining=retraining_of(content),
        pseudonyms=pseudonyms_of(serving.pseudonyms, folder),
    )


def _placed(path: str, folder: Path) -> Path:
    """A path of a config file: from its folder, if it is there or nowhere else, then from the working directory."""
    return Path(path) if Path(path).exists() and not (folder / path).exists() else folder / path

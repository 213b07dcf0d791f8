"""Reading a configuration file: the `dataset` section, which every command needs, apart from the rest."""

from pathlib import Path
from typing import Any, NamedTuple

from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.strict import read_yaml


class ConfigFile(NamedTuple):
    """A configuration file, read and expanded, its dataset section validated."""

    content: dict[str, Any]
    """All sections as plain data."""
    dataset: DatasetConfig
    folder: Path
    """Where relative paths of the file start."""


def read_config(path: Path | str) -> ConfigFile:
    """Read a YAML configuration. Raises ConfigError when it is absent, not YAML, or its dataset is invalid."""
    path = Path(path)
    content = read_yaml(path)
    if "dataset" not in content:
        raise ConfigError(f"{path} has no `dataset:` section", hint="It names the tables; see configs/ for examples.")
    return ConfigFile(content, DatasetConfig.parse(content["dataset"], "dataset"), path.resolve().parent)

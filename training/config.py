"""The whole configuration file of a training. Every section but `dataset` has defaults that need no touch."""

from pathlib import Path
from typing import Any

from pydantic import Field

from features.config import ConfigFile, read_config
from features.dataset import DatasetConfig
from features.shards.settings import TablesConfig
from features.strict import StrictConfig
from models.config import RankerConfig, TowerConfig
from serving.settings import PipelineSettings, ServingConfig
from training.evaluation.limits import FairnessConfig, require_measurable
from training.export.index_config import IndexConfig
from training.gate.config import GateConfig, require_askable
from training.ranker.fit import RankerFitConfig
from training.retrain.config import RetrainConfig, ScheduleConfig
from training.towers.config import TowerFitConfig


class EvaluationConfig(StrictConfig):
    """How lists are judged."""

    k: int = Field(default=10, ge=1, le=100)
    """Length of the judged lists."""
    max_moments: int = Field(default=6_000, ge=1)
    """Moments of slice C that are judged, drawn evenly."""


class TrainingConfig(StrictConfig):
    """Everything that decides what a training makes."""

    dataset: DatasetConfig
    """Tables, columns and roles."""
    tables: TablesConfig = TablesConfig()
    """How they are read."""
    seed: int = 0
    """Of every random draw."""
    workers: int = Field(default=2, ge=1)
    """Processes that make examples and judge lists."""
    recent_half_life_days: float = Field(default=7.0, gt=0)
    """Age at which an event counts half for what is trending."""
    newcomers: float = Field(default=0.05, ge=0, lt=1)
    """Share of the items with attributes of which the first fit is told nothing, so that the ranker learns what a new
    item is worth."""
    transition_seconds: float = Field(default=240.0, ge=0)
    """Budget for choosing the settings of the transitions on the inner split."""
    pipeline: PipelineSettings = PipelineSettings()
    """From person to answer."""
    towers: TowerConfig = TowerConfig()
    """Shape of the two towers."""
    tower_fit: TowerFitConfig = TowerFitConfig()
    """How the towers are fitted."""
    index: IndexConfig = IndexConfig()
    """How items are searched."""
    ranker: RankerConfig = RankerConfig()
    """Shape of the ranker."""
    ranker_fit: RankerFitConfig = RankerFitConfig()
    """How the ranker is fitted."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """How lists are judged."""
    fairness: FairnessConfig = FairnessConfig()
    """What is told of groups and of breadth, and its limits."""
    retrain: RetrainConfig = RetrainConfig()
    """How a model is kept up to date."""
    schedule: ScheduleConfig = ScheduleConfig()
    """When `tailorbird schedule` does so."""
    gate: GateConfig = GateConfig()
    """What a candidate must hold to go live."""
    serving: ServingConfig = ServingConfig()
    """How a service answers; training does not read it."""


def training_config(file: ConfigFile) -> TrainingConfig:
    """Validate all sections of a configuration file."""
    sections: dict[str, Any] = {**file.content, "dataset": file.dataset}
    config = TrainingConfig.parse(sections)
    require_measurable(config.fairness, config.dataset)
    require_askable(config.gate, config.dataset)
    return config


def read_training_config(path: Path | str) -> tuple[TrainingConfig, Path]:
    """A configuration file's content, and the folder at which its relative paths start."""
    file = read_config(path)
    return training_config(file), file.folder

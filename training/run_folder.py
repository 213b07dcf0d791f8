"""One training's run folder: what it was asked, what it read, and the claim that keeps two trainings apart."""

import json
import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from features.arrays import BoolArray
from features.errors import ConfigError
from features.events import EventTable, Tables
from features.people import People
from features.schema import Schema
from serving.manifest import fresh_staging
from serving.ranking.ranker_inputs import feature_names
from training.config import TrainingConfig
from training.held_back import held_back_items
from training.slices import A, Slices, cut
from training.whole_file import write_whole

OF_NO_ACCOUNT = {"serving", "workers", "retrain", "schedule", "gate"}
"""Sections that do not decide what a training makes."""


@dataclass(frozen=True)
class Run:
    """One training: what it was asked, what it read, and where it writes."""

    config: TrainingConfig
    tables: Tables
    people: People
    slices: Slices
    held_back: BoolArray
    """bool over `events.items`: items of which the first fit is told nothing."""
    folder: Path

    @classmethod
    def of(cls, config: TrainingConfig, tables: Tables, folder: Path) -> Self:
        """Cut the events, and choose what is held back."""
        people = People(config.dataset, tables)
        held_back = held_back_items(config.dataset, tables, people.events, config.newcomers, config.seed)
        return cls(config, tables, people, cut(config.dataset, people.events), held_back, folder)

    @property
    def told(self) -> BoolArray:
        """bool over `events`: what the first fit is told, slice A without the items held back."""
        return np.asarray((self.slices.codes == A) & ~self.held_back[self.events.item_codes])

    @cached_property
    def newcomers(self) -> frozenset[str]:
        """Ids of the items held back."""
        return frozenset(self.events.items[self.held_back].tolist())

    @property
    def events(self) -> EventTable:
        """All events but exposures; the slices are theirs."""
        return self.people.events


def claim_folder(run: Path, config: TrainingConfig, tables: Tables) -> None:
    """Write what this run is of; raises ConfigError when the folder holds another training."""
    content = config.model_dump(mode="json", by_alias=True, exclude=OF_NO_ACCOUNT)
    newest = int(tables.events.moments.max())
    claim = {"config": content, "data": tables.fingerprint, "events": len(tables.events), "newest": newest}
    path = run / "run.json"
    if not path.exists():
        (run / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        write_whole(path, json.dumps(claim, indent=1))
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    other = [name for name in claim if json.loads(json.dumps(claim[name])) != before.get(name)]
    if other:
        raise ConfigError(
            f"{run} holds a training with another {' and '.join(other)}; going on would mix the two",
            field="--run",
            hint="Name a new folder.",
        )


def note_consent(run: Path, tables: Tables, part: Tables) -> None:
    """Write `run`/consent.json: how much was left out because somebody did not agree to train."""
    note = {
        "events": len(tables.events),
        "events_left_out": len(tables.events) - len(part.events),
        "users": len(tables.events.users),
        "users_left_out": len(tables.events.users) - len(part.events.users),
        "assumed": sorted({one.source for one in tables.consent.assumed}) if tables.consent else [],
    }
    run.mkdir(parents=True, exist_ok=True)
    (run / "consent.json").write_text(json.dumps(note, indent=1), encoding="utf-8")


def provenance(this: Run, schema: Schema) -> dict[str, Any]:
    """What a bundle's manifest tells of where it came from."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": this.config.model_dump(mode="json", by_alias=True),
        "data": this.tables.fingerprint,
        "ranker_inputs": feature_names(schema),
        "newest_event": int(this.events.moments.max()),
        "newest_item_change": 0,
        "python": platform.python_version(),
    }


def staged_copy(source: Path, target: Path) -> Path:
    """A staging directory for `target` that holds what a sealed stage holds, its manifest aside."""
    staging = fresh_staging(target)
    shutil.copytree(source, staging, dirs_exist_ok=True)
    (staging / "manifest.json").unlink()
    return staging

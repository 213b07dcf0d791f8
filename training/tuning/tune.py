"""`tailorbird tune`: what costs a training, chosen within a budget of minutes.

Towers come first and have three quarters of the time, then the ranker on the examples that the best towers give. The
configuration as it was given is the first trial of both, so that the answer is never worse than it on what is judged.
A tuning that was broken off, or is given more minutes, goes on in its run folder; the longest time of one fit stays
what the first call made it, so that all trials are comparable.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from features.errors import ConfigError, DataError
from features.events import Tables
from features.frames import Frames
from training.config import TrainingConfig, read_training_config
from training.quiet import quiet
from training.run import checked_tables
from training.run_folder import Run, claim_folder
from training.tuning.fits import RankerTrials, TowerTrials
from training.tuning.report import Tuned, write_tuning_report
from training.tuning.search import Clock, Found, Search
from training.tuning.search_space import RANKER_SPACE, TOWER_SPACE, Space, changed
from training.tuning.tuned_config import write_tuned

TOWER_SHARE = 0.75
"""Share of the time that the towers have."""
FULL_FITS = 6
"""Fits of towers that are to go through whole: none may take more than this part of the towers' time."""
EXAMPLE_SHARE = 0.4
"""Most of the ranker's time that making its examples may take."""


def tune(config: Path, minutes: float, run: Path, output: Path, frames: Frames | None = None) -> Path:
    """Search for better settings; writes `run`/tuning.json and tuning.md, and the better configuration to `output`.

    Raises ConfigError and DataError before any work is done, and ConfigError when no epoch fits into the minutes.
    """
    settings, folder = read_training_config(config)
    if minutes <= 0:
        raise ConfigError(f"a budget must be above 0 minutes; got {minutes:g}", field="--minutes")
    _require_place(config, output)
    run.mkdir(parents=True, exist_ok=True)
    clock = Clock(run / "seconds.txt")
    tables = checked_tables(settings, folder, run, frames)
    tuned = tune_on(settings, tables, run, minutes, clock)
    write_tuned(config, output, tuned.changes)
    write_tuning_report(tuned, run, output)
    return output


@quiet()
def tune_on(
    config: TrainingConfig,
    tables: Tables,
    run: Path,
    minutes: float,
    clock: Clock,
    *,
    tower_space: Space = TOWER_SPACE,
    ranker_space: Space = RANKER_SPACE,
) -> Tuned:
    """Tune on tables that were read."""
    claim_folder(run, config, tables)
    this = Run.of(config, tables, run)
    search = Search(run / "towers", tower_space, config)
    fit_minutes = search.setting("fit_minutes", min(config.tower_fit.max_minutes, minutes * TOWER_SHARE / FULL_FITS))
    towers = search.run(TowerTrials(this, fit_minutes), clock, minutes * 60 * TOWER_SHARE)
    if towers is None:
        raise ConfigError(
            f"{minutes:g} minutes were not enough for one epoch of the configuration as it is",
            field="--minutes",
            hint="Give more; with the same --run it goes on where it stood.",
        )
    with_towers = changed(config, towers.best.changes)
    ranker = _tuned_ranker(this, search, towers, ranker_space, clock, minutes * 60)
    best = with_towers if isinstance(ranker, str) else changed(with_towers, ranker.best.changes)
    clock.save()
    return Tuned(
        given=config,
        config=best,
        changes=_differing(towers) | ({} if isinstance(ranker, str) else _differing(ranker)),
        towers=towers,
        ranker=ranker,
        minutes=minutes,
        seconds=clock.spent,
        fit_minutes=fit_minutes,
    )


def _tuned_ranker(this: Run, search: Search, towers: Found, space: Space, clock: Clock, deadline: float) -> Found | str:
    """The search over the ranker, in a folder of its own for every first stage; or why there was none."""
    folder = this.folder / f"ranker-{towers.best.number}"
    folder.mkdir(exist_ok=True)
    config = changed(this.config, towers.best.changes)
    around = replace(this, config=config, folder=folder)
    seconds = max(0.0, deadline - clock.spent) * EXAMPLE_SHARE
    try:
        trials = RankerTrials(around, search.folder_of(towers.best.number), towers.best.epochs, seconds)
    except DataError as error:
        return error.message
    found = Search(folder / "trials", space, config).run(trials, clock, deadline)
    return found or "the time was over before the ranker of the configuration as it is was fitted"


def _differing(found: Found) -> dict[str, Any]:
    return {key: value for key, value in found.best.changes.items() if value != found.given.changes[key]}


def _require_place(config: Path, output: Path) -> None:
    """Relative paths in a configuration start at its folder, and nobody's file is overwritten by its own child."""
    if output.resolve().parent != config.resolve().parent:
        raise ConfigError(
            f"{output} does not lie beside {config}, where the relative paths of a configuration start",
            field="--output",
            hint=f"Name a file in {config.parent}.",
        )
    if output.resolve() == config.resolve():
        raise ConfigError(f"{output} is the configuration to be tuned", field="--output", hint="Name another file.")

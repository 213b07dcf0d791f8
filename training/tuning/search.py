"""One search for better settings: Optuna draws, an objective judges, a clock ends it.

The study lies in its folder as a journal of JSON lines, so that a search that was broken off goes on: what a killed
trial had begun is begun again from its checkpoint. The configuration as it was given is always the first trial. Times
in seconds.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from features.arrays import FloatArray
from features.errors import ConfigError
from training.config import TrainingConfig
from training.tuning.search_space import Space, changed, distributions, given, rounded
from training.whole_file import write_whole

RANDOM_TRIALS = 6
"""Trials drawn at random before the sampler learns from them."""
UNPRUNED_TRIALS, UNPRUNED_EPOCHS = 3, 3
"""Trials that are never pruned, because the others are measured by them, and epochs that no trial is judged by."""
GIVEN, CONTINUES, EPOCHS = "given", "continues", "epochs"
GAINS = "gains.npy"


class OutOfTimeError(Exception):
    """Ends a fit whose time is over."""


class Clock:
    """Seconds that a tuning has spent, over all its calls; kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        before = float(path.read_text(encoding="utf-8")) if path.exists() else 0.0
        self._origin = time.monotonic() - before

    @property
    def spent(self) -> float:
        """Until now."""
        return time.monotonic() - self._origin

    def save(self) -> None:
        """Remember it for the next call."""
        write_whole(self._path, f"{self.spent:.1f}")


class Watch:
    """Looks on at the fit of one trial: reports each epoch, prunes, and ends the fit when the time is over."""

    def __init__(self, trial: optuna.Trial, clock: Clock, deadline: float) -> None:
        self._trial, self._clock, self._deadline = trial, clock, deadline
        self.epochs = 0
        """Epochs that were judged."""

    def __call__(self, history: Sequence[Mapping[str, float]]) -> None:
        """Raises optuna.TrialPruned or OutOfTimeError, the latter never between an epoch and its checkpoint."""
        if len(history) == self.epochs:
            if self._clock.spent > self._deadline:
                raise OutOfTimeError
            return
        for epoch, record in enumerate(history[self.epochs :], start=self.epochs + 1):
            self._trial.report(record["ndcg"], epoch)
        self.epochs = len(history)
        if self._trial.should_prune():
            raise optuna.TrialPruned


Objective = Callable[[TrainingConfig, Watch, Path], FloatArray]
"""Fits what a configuration says, in a folder, under a watch; returns the figure of each judged person."""


class Trial(NamedTuple):
    """What is known of one trial, as a report has it."""

    number: int
    state: str
    """judged, pruned, or unfinished (nothing of it could be judged)."""
    changes: dict[str, Any]
    """Value of every key of the space."""
    figure: float | None
    """Mean over the judged people; of a pruned trial that of its last epoch."""
    seconds: float
    epochs: int
    """Epochs judged; 0 for a fit that does not tell them."""


class Found(NamedTuple):
    """What a search found."""

    trials: list[Trial]
    given: Trial
    """The configuration as it was given."""
    best: Trial
    gains: tuple[FloatArray, FloatArray]
    """Figure of each judged person: best, given."""
    importance: dict[str, float]
    """Share of the variance between trials that each key explains, by PED-ANOVA; empty for few trials."""


class Search:
    """A study in a folder; `run` goes on with it."""

    def __init__(self, folder: Path, space: Space, config: TrainingConfig) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._space, self._config = folder, space, config
        storage = JournalStorage(JournalFileBackend(str(folder / "study.jsonl")))
        self._study = optuna.create_study(
            storage=storage,
            study_name=folder.name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(UNPRUNED_TRIALS, UNPRUNED_EPOCHS),
            load_if_exists=True,
        )
        # A sampler that starts again with its first seed would draw its first trials again.
        self._study.sampler = TPESampler(
            seed=config.seed * 1_000_003 + len(self._study.trials), n_startup_trials=RANDOM_TRIALS, multivariate=True
        )
        self._begin_again()

    def setting(self, name: str, value: float) -> float:
        """A number that stays for all calls what it was in the first."""
        if name not in self._study.user_attrs:
            self._study.set_user_attr(name, value)
        return float(self._study.user_attrs[name])

    def run(self, objective: Objective, clock: Clock, deadline: float) -> Found | None:
        """Trials until the deadline; None when not even the given configuration could be judged."""
        while clock.spent < deadline:
            self._one(objective, clock, deadline)
            clock.save()
        return self._found()

    def folder_of(self, number: int) -> Path:
        """Where a trial's fit lies."""
        return self._folder / str(self._study.trials[number].user_attrs.get(CONTINUES, number))

    def _begin_again(self) -> None:
        """Queue what was killed, and the given configuration as long as it was not judged."""
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._queue(trial.params, trial)
        known = self._study.get_trials(states=(TrialState.COMPLETE, TrialState.WAITING))
        if not any(GIVEN in trial.user_attrs for trial in known):
            first = next((one for one in self._study.trials if GIVEN in one.user_attrs), None)
            self._queue(given(self._space, self._config), first, {GIVEN: True})

    def _queue(self, changes: dict[str, Any], before: FrozenTrial | None, marks: dict[str, Any] | None = None) -> None:
        """In the folder of the trial that it continues."""
        continued = {CONTINUES: before.number, **before.user_attrs} if before else {}
        self._study.enqueue_trial(changes, user_attrs={**continued, **(marks or {})})

    def _one(self, objective: Objective, clock: Clock, deadline: float) -> None:
        trial = self._study.ask(distributions(self._space, self._config))
        folder, watch = self.folder_of(trial.number), Watch(trial, clock, deadline)
        is_given = GIVEN in trial.user_attrs
        folder.mkdir(exist_ok=True)
        try:
            config = self._config if is_given else changed(self._config, rounded(trial.params))
            gains = objective(config, watch, folder)
        except (optuna.TrialPruned, ConfigError):  # the latter where two drawn values cannot go together
            self._study.tell(trial, state=TrialState.PRUNED)
        except OutOfTimeError:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            np.save(folder / GAINS, gains)
            trial.set_user_attr(EPOCHS, watch.epochs)
            self._study.tell(trial, float(gains.mean(dtype=np.float64)))
        self._keep_only_the_best()

    def _keep_only_the_best(self) -> None:
        """Checkpoints are large; only the best trial's is needed again, and the given one's until it is judged."""
        judged = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if judged:
            best = self.folder_of(_best(judged).number)
            for checkpoint in self._folder.glob("*/*.ckpt"):
                if checkpoint.parent != best:
                    checkpoint.unlink()

    def _found(self) -> Found | None:
        judged = self._study.get_trials(states=(TrialState.COMPLETE,))
        first = next((one for one in judged if GIVEN in one.user_attrs), None)
        if first is None:
            return None
        best = _best(judged)
        gains = [np.load(self.folder_of(one.number) / GAINS) for one in (best, first)]
        done = [one for one in self._study.trials if one.state.is_finished()]
        return Found(
            [self._told(one) for one in done],
            self._told(first),
            self._told(best),
            (gains[0], gains[1]),
            _importance(self._study, judged),
        )

    def _told(self, trial: FrozenTrial) -> Trial:
        names = {TrialState.COMPLETE: "judged", TrialState.PRUNED: "pruned"}
        is_given = GIVEN in trial.user_attrs
        return Trial(
            number=trial.number,
            state=names.get(trial.state, "unfinished"),
            changes=given(self._space, self._config) if is_given else rounded(trial.params),
            figure=trial.value,
            seconds=trial.duration.total_seconds() if trial.duration else 0.0,
            epochs=trial.user_attrs.get(EPOCHS) or max(trial.intermediate_values, default=0),
        )


def _best(judged: Sequence[FrozenTrial]) -> FrozenTrial:
    """The highest figure; of equals the oldest, which may be the given configuration."""
    return max(judged, key=lambda trial: (trial.value or 0.0, -trial.number))


def _importance(study: optuna.Study, judged: Sequence[FrozenTrial]) -> dict[str, float]:
    if len(judged) <= RANDOM_TRIALS or len({trial.value for trial in judged}) == 1:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(study, evaluator=evaluator)

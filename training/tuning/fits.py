"""What a trial of `tailorbird tune` fits and judges: the towers on slice A, then the ranker on slice B.

Both are judged by the NDCG@10 of each of some people or moments, float32 [P]: the towers on the people just before
slice C on whom every training stops early, the ranker on the tenth of its examples that it holds out. Slice C serves
for nothing beyond that.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.arrays import FloatArray
from features.errors import DataError
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from serving.ranking.ranker_inputs import fusion_weights
from training.config import TrainingConfig
from training.evaluation.metrics import gains
from training.held_back import never_taken
from training.moments import Moment
from training.ranker.examples import Examples, make_examples
from training.ranker.fit import fit_ranker, held_out_logits, position_tower, split
from training.run_folder import Run
from training.stage import item_codes, schema_of
from training.steps import first_stage, ranker_moments, told, transition_settings, validation_people
from training.towers.data import TowerData, tower_data
from training.towers.fit import fit_towers
from training.towers.fitted import validation_gains
from training.tuning.search import OutOfTimeError, Watch

K = 10
TIMED_MOMENTS = 50
"""Examples made to learn how long one takes."""
LEAST_MOMENTS = 200
"""Examples that are asked for even where there is hardly time."""


class TowerTrials:
    """Fits the towers of a configuration on slice A."""

    def __init__(self, this: Run, fit_minutes: float) -> None:
        """No fit takes longer than `fit_minutes`, nor than its configuration allows."""
        self._this, self._fit_minutes = this, fit_minutes
        self._part = told(this)
        self._schema = schema_of(this.config.dataset, self._part)
        self._codes = item_codes(self._schema, self._part.items)
        self._validation = validation_people(this, self._schema)
        self._data: dict[int, TowerData] = {}

    def __call__(self, config: TrainingConfig, watch: Watch, folder: Path) -> FloatArray:
        """NDCG@10 of each validation person after the best epoch that there was time for."""
        data = self._data_for(config.pipeline.max_events)
        minutes = min(config.tower_fit.max_minutes, self._fit_minutes)
        fit = config.tower_fit.model_copy(update={"max_minutes": minutes})
        try:
            fitted = fit_towers(data, config.towers, fit, folder, seed=config.seed, watch=watch)
        except OutOfTimeError:
            if not watch.epochs:
                raise
            fit = fit.model_copy(update={"max_epochs": watch.epochs})  # as far as its checkpoint, and no further
            fitted = fit_towers(data, config.towers, fit, folder, seed=config.seed)
        watch.epochs = len(fitted.history)
        return validation_gains(fitted, data, fit)

    def _data_for(self, max_events: int) -> TowerData:
        """The windows last cut, or others: only one set of them is in memory."""
        if max_events not in self._data:
            self._data.clear()
            self._data[max_events] = tower_data(self._schema, self._part, self._codes, max_events, self._validation)
        return self._data[max_events]


class RankerTrials:
    """Fits the ranker of a configuration on the examples of slice B, which are made once."""

    def __init__(self, this: Run, towers: Path, epochs: int, seconds: float) -> None:
        """`this.config` has the tuned towers, whose fit lies in the folder `towers`; making examples may take about
        `seconds`. Raises DataError when there are too few of them.
        """
        first = _first_stage(this, towers, epochs, seconds)
        bundle = open_bundle(first)
        self.examples = _examples(first, this, seconds)
        self._vectors = np.asarray(bundle.catalogue.vectors)
        self._prior = fusion_weights(bundle.schema)
        self._heads = len(bundle.schema.heads)
        self._pipeline = Pipeline(bundle)
        types = this.config.dataset.types
        positive = np.array([types[head].sign == "positive" for head in bundle.schema.heads])
        self._held_out, _ = split(len(self.examples), this.config.seed)
        self._judged = self.examples.heads[self._held_out][:, positive].any(axis=1)
        if len(self.examples) < 2 or not self._judged.any():
            raise DataError(f"only {len(self.examples)} events of slice B were reached by a candidate source")

    def __call__(self, config: TrainingConfig, watch: Watch, _: Path) -> FloatArray:
        """NDCG@10 of each held-out example in which something positive was taken, in the order of service."""
        ranker = fit_ranker(
            self.examples,
            self._vectors,
            self._heads,
            config.ranker,
            config.ranker_fit,
            prior=self._prior,
            seed=config.seed,
            watch=watch,
            position=position_tower(self.examples, config.ranker_fit, self._heads),
        )
        logits = held_out_logits(ranker, self.examples, self._vectors, config.seed)
        targets = self.examples.targets[self._held_out]
        ranks = np.array([self._rank(*pair) for pair in zip(logits, targets, strict=True)])
        found: FloatArray = gains(ranks[self._judged], K).astype(np.float32)
        return found

    def _rank(self, logits: FloatArray, target: int) -> int:
        """Place of the target, from 1."""
        expected, _ = self._pipeline.expected(logits)
        return int((expected > expected[target]).sum()) + 1


def _first_stage(this: Run, towers: Path, epochs: int, seconds: float) -> Path:
    """The bundle without a ranker, around fitted towers; its transitions are chosen in half of `seconds` at most."""
    checkpoints = this.folder / "checkpoints" / "first"
    if not checkpoints.is_symlink():
        checkpoints.parent.mkdir(parents=True)
        checkpoints.symlink_to(os.path.relpath(towers, checkpoints.parent), target_is_directory=True)
    limits = {
        "tower_fit": this.config.tower_fit.model_copy(update={"max_epochs": epochs}),
        "transition_seconds": min(this.config.transition_seconds, seconds / 2),
    }
    as_fitted = replace(this, config=this.config.model_copy(update=limits))
    return first_stage(as_fitted, transition_settings(as_fitted))[0]


def _examples(first: Path, this: Run, seconds: float) -> Examples:
    """As many as the configuration asks for, or as there is time to make."""
    moments = ranker_moments(this)
    workers = this.config.workers
    started = time.monotonic()
    make_examples(first, _every(moments, TIMED_MOMENTS), workers=1, label="examples")
    each = (time.monotonic() - started) / min(TIMED_MOMENTS, max(1, len(moments))) / workers
    affordable = max(LEAST_MOMENTS, int(seconds / each))
    left_out = never_taken(open_bundle(first).schema, this.events)
    return make_examples(first, _every(moments, affordable), workers=workers, label="examples", left_out=left_out)


def _every(moments: Sequence[Moment], count: int) -> Sequence[Moment]:
    """About `count` of them, evenly; all, when there are no more."""
    return moments[:: max(1, -(-len(moments) // count))]

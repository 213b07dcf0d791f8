"""The ranker's examples: what the pipeline would have ranked just before a person turned to an item.

Made by the pipeline itself, through the exported graphs, one request at a time. An item counts only when a source
retrieved it and is never appended; of a list that was shown, what was shown stands in its place. N examples, K
candidates (padded), F features, T history events.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from features.arrays import BoolArray, FloatArray, IntArray
from features.vocabulary import PAD, RESERVED
from serving.bundle import Bundle, open_bundle
from serving.filters import FilterReader
from serving.ranking.ranker_inputs import ATTENTION_EVENTS, ranker_rows
from serving.retrieval.candidates import UNRANKED, Candidates, given, retrieve
from serving.situation import Situation, situation
from training.moments import Moment


@dataclass(frozen=True)
class Examples:
    """Retrieved positives with all candidates beside them, padded to the widest."""

    features: FloatArray
    """float32 [N, K, F]"""
    rows: npt.NDArray[np.int32]
    """int32 [N, K] item rows, PAD behind the last candidate."""
    history_rows: npt.NDArray[np.int32]
    """int32 [N, T] newest first, PAD behind the oldest."""
    targets: IntArray
    """int64 [N]: which candidate was taken."""
    heads: FloatArray
    """float32 [N, H]: 1 for each of schema.heads that came of it."""
    slots: npt.NDArray[np.int32]
    """int32 [N, K]: slot of the list in which each candidate was shown, from 1; 0 for what was in none."""
    brought: BoolArray
    """bool [N]: whether a source retrieved the positive; only of what was shown it may be that none did."""
    asked: int
    """Moments that were tried, those whose positive no source retrieved among them."""

    def __len__(self) -> int:
        return len(self.targets)


class _Example(NamedTuple):
    features: FloatArray
    rows: IntArray
    history_rows: IntArray
    target: int
    heads: FloatArray
    slots: IntArray
    brought: bool


def make_examples(
    bundle_path: Path,
    moments: Sequence[Moment],
    *,
    workers: int,
    label: str,
    left_out: BoolArray | None = None,
) -> Examples:
    """Ask the bundle's pipeline at each moment; the order of the examples is that of the moments.

    Candidates in `left_out`, bool [R], are not looked at: of items that nobody could have taken yet nothing is learned.
    """
    work = partial(_example_of, left_out=left_out)
    found = [one for one in in_parallel(work, bundle_path, moments, workers, label) if one is not None]
    return _stacked(found, len(moments))


def in_parallel(
    work: Callable[[Any, Any], Any], bundle_path: Path, tasks: Sequence[Any], workers: int, label: str
) -> Iterable[Any]:
    """`work(bundle, task)` for every task, in order, over processes that each open the bundle once."""
    if workers <= 1 or len(tasks) < 200:
        bundle = open_bundle(bundle_path)
        yield from (work(bundle, task) for task in tqdm(tasks, desc=label, disable=None, leave=False))
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _open_in_worker, (bundle_path, work)) as pool:
        answers = pool.map(_work_in_worker, tasks, chunksize=32)
        yield from tqdm(answers, total=len(tasks), desc=label, disable=None, leave=False)


_worker: dict[str, Any] = {}


def _open_in_worker(bundle_path: Path, work: Callable[[Any, Any], Any]) -> None:
    _worker.update(bundle=open_bundle(bundle_path), work=work)


def _work_in_worker(task: Any) -> Any:
    return _worker["work"](_worker["bundle"], task)


def _example_of(bundle: Any, moment: Moment, left_out: BoolArray | None) -> _Example | None:
    here, candidates, slots = _shown(bundle, moment) if moment.shown else _retrieved(bundle, moment, left_out)
    target = np.flatnonzero(candidates.rows == bundle.schema.items.row(moment.item_id))
    if len(target) == 0 or (moment.shown and len(slots) < 2):
        return None
    return _Example(
        features=ranker_rows(here, candidates).features,
        rows=candidates.rows,
        history_rows=here.history.item_rows[::-1][:ATTENTION_EVENTS],
        target=int(target[0]),
        heads=np.array([name in moment.types for name in bundle.schema.heads], dtype=np.float32),
        slots=slots,
        brought=bool((candidates.ranks[target[0]] != UNRANKED).any()),
    )


def _retrieved(bundle: Bundle, moment: Moment, left_out: BoolArray | None) -> tuple[Situation, Candidates, IntArray]:
    """What the sources bring, none of it in a slot."""
    here = situation(bundle, moment.person, moment.moment)
    candidates = retrieve(here)
    if left_out is not None:
        kept = ~left_out[candidates.rows]
        candidates = Candidates(candidates.rows[kept], candidates.ranks[kept])
    return here, candidates, np.zeros(len(candidates.rows), dtype=np.int64)


def _shown(bundle: Bundle, moment: Moment) -> tuple[Situation, Candidates, IntArray]:
    """What was shown, in the places that the sources' lists of then give it, with its slots."""
    shown = moment.shown
    assert shown is not None
    passing = None
    if shown.filter is not None:
        chosen = FilterReader(bundle.schema.dataset).read(shown.filter)
        passing = bundle.filterable.passing(chosen, bundle.schema, moment.person, moment.moment)
    here = situation(bundle, moment.person, moment.moment, shown.exclude, passing)
    slots = dict(zip(bundle.schema.items.rows(list(shown.slots)).tolist(), shown.slots.values(), strict=True))
    rows = np.array(sorted(row for row in slots if row >= RESERVED), dtype=np.int64)
    return here, given(here, rows, shown.wanted), np.array([slots[row] for row in rows.tolist()], dtype=np.int64)


def _stacked(found: list[_Example], asked: int) -> Examples:
    widest = max((len(one.rows) for one in found), default=1)
    size = (len(found), widest)
    n_features = found[0].features.shape[1] if found else 0
    examples = Examples(
        features=np.zeros((*size, n_features), dtype=np.float32),
        rows=np.full(size, PAD, dtype=np.int32),
        history_rows=np.full((len(found), ATTENTION_EVENTS), PAD, dtype=np.int32),
        targets=np.array([one.target for one in found], dtype=np.int64),
        heads=np.array([one.heads for one in found], dtype=np.float32),
        slots=np.zeros(size, dtype=np.int32),
        brought=np.array([one.brought for one in found], dtype=np.bool_),
        asked=asked,
    )
    while found:  # emptied as it is read: both together would take twice the memory
        one, index = found.pop(), len(found)
        examples.features[index, : len(one.rows)] = one.features
        examples.rows[index, : len(one.rows)] = one.rows
        examples.slots[index, : len(one.rows)] = one.slots
        examples.history_rows[index, : len(one.history_rows)] = one.history_rows
    return examples

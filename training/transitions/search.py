"""Choose the settings of the transitions by NDCG@10 on each user's held-out next item.

A small coordinate search: pairs are counted once for the widest window; then smoothing, history weights and
distance weights are tried in turn from the best so far, and the best few trials are judged again by more
users. Within a trial the score is linear in head mass and popularity weight, so all their combinations are
judged together. The choice depends on data and seed only, unless the budget ends the search early.

Letters: R rows of the item table, N events, U users, H head masses, P popularity weights.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from tqdm import tqdm

from features.arrays import FloatArray, IntArray
from features.errors import DataError
from features.vocabulary import RESERVED
from serving.retrieval.transitions import Transitions, TransitionSettings
from training.transitions.fit import MAX_ENTRIES, assemble
from training.transitions.pair_counts import Doubles, PairCounts, Sequences, count_pairs

WINDOW = 20
CUTOFF = 10
SMOOTHING_PER_ITEM = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
HEADS = ((3, 0.6), (7, 0.6), (10, 0.7), (15, 0.8), (20, 0.6))
"""(events, decay) of the head of a history."""
DISTANCES = ((1, 0.0), (5, 1.0), (10, 0.5), (10, 1.0), (20, 0.5), (20, 1.0), (20, 2.0))
"""(window, power) of the counts."""
HEAD_MASSES = (0.6, 0.8, 0.9, 1.0)
POPULARITY_WEIGHTS = (-0.6, -0.4, -0.2, -0.1, -0.04, 0.0, 0.1)
RACE_EXAMPLES = 3_000
"""Users who judge every trial."""
FINAL_EXAMPLES = 20_000
"""Users who judge the finalists: what differs by less than the noise of the race is decided here."""
FINALISTS = 4
MAX_SEARCH_EVENTS = 3_000_000
"""Counts of more events than this are made from a sample of users: at WINDOW they take 1 GB."""

Choice: TypeAlias = dict[str, float]
"""Some of the fields of `TransitionSettings`."""


class Example(NamedTuple):
    """One user's known history int64 [T], oldest first, and the item that came next."""

    history: IntArray
    target: int


class Trial(NamedTuple):
    """What was tried, the best that came of it as NDCG@10, and with which settings."""

    gain: float
    choice: Choice
    settings: TransitionSettings


@dataclass(frozen=True)
class Search:
    """What stays the same from trial to trial."""

    counted: Sequences
    blocks: list[PairCounts]
    examples: list[Example]
    n_rows: int
    filter_taken: bool

    def trial(self, choice: Choice, n_examples: int) -> Trial:
        """Judge all head masses and popularity weights by the first `n_examples` examples."""
        settings = TransitionSettings.model_validate(choice)
        neighbours = max(1, MAX_ENTRIES // self.n_rows)
        model = assemble(self.counted, self.n_rows, settings, self.blocks, WINDOW, neighbours)
        popularity = _column(POPULARITY_WEIGHTS) * model.log_popularity
        gains = np.zeros((len(HEAD_MASSES), len(POPULARITY_WEIGHTS)))
        examples = self.examples[:n_examples]
        for example in examples:
            gains += gains_of(model, example, popularity, filter_taken=self.filter_taken)
        mass, weight = np.unravel_index(gains.argmax(), gains.shape)
        chosen = {"head_mass": HEAD_MASSES[mass], "popularity_weight": POPULARITY_WEIGHTS[weight]}
        return Trial(gains.max() / len(examples), choice, settings.model_copy(update=chosen))


def choose_settings(
    item_rows: IntArray,
    offsets: IntArray,
    n_rows: int,
    targets: IntArray,
    filter_taken: bool = True,
    budget_seconds: float = 60.0,
    *,
    max_history: int = 200,
    seed: int = 0,
) -> TransitionSettings:
    """The settings that rank `targets` best after histories int64 [N] that begin at `offsets` [U + 1].

    `targets` int64 [U] is the row of the item that each user took after the history; -1 for none. With
    `filter_taken` an item of the history is neither ranked nor a target. Without a single example: defaults,
    smoothed by the size of the catalogue. Raises `DataError` when rows, offsets or targets do not fit.
    """
    deadline = time.monotonic() + budget_seconds
    generator = np.random.default_rng(seed)
    sequences = Sequences.of(item_rows, offsets, n_rows)
    if len(targets) != len(offsets) - 1:
        raise DataError(f"{len(offsets) - 1} histories came with {len(targets)} targets")
    counted = sequences.of_users(_sample_of_users(sequences, generator))
    n_items = max(1, int(np.count_nonzero(counted.frequency(n_rows))))
    start: Choice = {
        "window": WINDOW,
        "distance_power": 1.0,
        "smoothing": 0.1 * n_items,
        "head": 7,
        "decay": 0.6,
        "max_history": max_history,
    }
    examples = _examples(sequences, targets, generator, filter_taken=filter_taken)
    if not examples:
        return TransitionSettings.model_validate(start)
    blocks = list(count_pairs(counted, n_rows, WINDOW))
    search = Search(counted, blocks, examples, n_rows, filter_taken)
    best = _final(search, _race(search, start, _sweeps(n_items), deadline), deadline)
    counted_share = len(counted.rows) / len(sequences.rows)
    return best.model_copy(update={"smoothing": best.smoothing / counted_share})


def gains_of(model: Transitions, example: Example, popularity: FloatArray, *, filter_taken: bool) -> Doubles:
    """float64 [H, P] NDCG@10 of one target in the full catalogue, by head mass and popularity weight.

    `popularity` float32 [P, R] is the popularity term by weight.
    """
    settings = model.settings
    rows = example.history[::-1][: settings.max_history]
    decayed = settings.decay ** np.arange(min(settings.head, len(rows)))
    head = model.sum_after(rows[: settings.head], decayed / decayed.sum())  # [R]
    head[:RESERVED] = -np.inf
    if filter_taken:
        head[example.history] = -np.inf
    mass = _column(HEAD_MASSES)  # [H, 1]
    older = len(rows) - settings.head
    if older > 0:
        mixed = mass * head + (1 - mass) * model.sum_after(rows[settings.head :], np.full(older, 1 / older))
    else:
        mixed = np.ones_like(mass) * head
    of_target = mixed[:, None, example.target, None] + popularity[:, example.target, None]  # [H, P, 1]
    strong = np.flatnonzero(head > 0.5 * head.max())
    beaten = np.count_nonzero(mixed[:, None, strong] + popularity[:, strong] > of_target, axis=-1)
    if (beaten >= CUTOFF).all():  # most targets: no need to rank them among all items
        return np.zeros(beaten.shape)
    scores = mixed[:, None] + popularity  # [H, P, R]
    better = np.count_nonzero(scores > of_target, axis=-1)
    equal = np.count_nonzero(scores == of_target, axis=-1)
    rank = better + (equal + 1) / 2  # from 1; equals share their places
    return np.where(rank <= CUTOFF, 1 / np.log2(rank + 1), 0.0)


def _race(search: Search, start: Choice, sweeps: Iterable[Sequence[Choice]], deadline: float) -> list[Trial]:
    """Each sweep tries its updates of the best choice so far; all trials, best first."""
    trials = [search.trial(start, RACE_EXAMPLES)]
    for sweep in tqdm(sweeps, desc="transition settings", unit="sweep", disable=None):
        around = trials[0].choice
        for update in sweep:
            choice = {**around, **update}
            if time.monotonic() < deadline and all(choice != trial.choice for trial in trials):
                trials.append(search.trial(choice, RACE_EXAMPLES))
        trials.sort(key=lambda trial: -trial.gain)
    return trials


def _final(search: Search, trials: list[Trial], deadline: float) -> TransitionSettings:
    """Settings of the best finalist; of the race's winner when there is no time, or nobody more to ask."""
    if len(search.examples) <= RACE_EXAMPLES:
        return trials[0].settings
    finalists = tqdm(trials[:FINALISTS], desc="transition finalists", unit="trial", disable=None)
    finals = [search.trial(one.choice, FINAL_EXAMPLES) for one in finalists if time.monotonic() < deadline]
    return max(finals, key=lambda trial: trial.gain, default=trials[0]).settings


def _column(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float32)[:, None]


def _sweeps(n_items: int) -> list[list[Choice]]:
    """Updates of a choice, those that move the figure most first."""
    smoothing: list[Choice] = [{"smoothing": share * n_items} for share in SMOOTHING_PER_ITEM]
    heads: list[Choice] = [{"head": head, "decay": decay} for head, decay in HEADS]
    distances: list[Choice] = [{"window": window, "distance_power": power} for window, power in DISTANCES]
    return [smoothing, heads, distances]


def _sample_of_users(sequences: Sequences, generator: np.random.Generator) -> IntArray:
    """Users in order: all of them, or a sample with about `MAX_SEARCH_EVENTS` events."""
    lengths = np.diff(sequences.offsets)
    users = generator.permutation(len(lengths))
    within = np.cumsum(lengths[users]) - lengths[users] < MAX_SEARCH_EVENTS
    return np.sort(users[within])


def _examples(
    sequences: Sequences, targets: IntArray, generator: np.random.Generator, *, filter_taken: bool
) -> list[Example]:
    """At most `FINAL_EXAMPLES` users, drawn by chance, who have a history and a target that may be ranked."""
    eligible = np.flatnonzero((targets >= RESERVED) & (np.diff(sequences.offsets) > 0))
    examples = []
    for user in generator.permutation(eligible).tolist():
        history, target = sequences.history(user), int(targets[user])
        if filter_taken and target in history:
            continue
        examples.append(Example(history, target))
        if len(examples) == FINAL_EXAMPLES:
            break
    return examples

"""Fit the transitions that `serving.retrieval.transitions` asks: counts, smoothed, and popularity.

Letters: R rows of the item table, N events, U users, C (source, target) cells.
"""

from collections.abc import Iterable

import numpy as np

from features.arrays import IntArray
from serving.retrieval.transitions import HalfArray, Transitions, TransitionSettings
from training.transitions.pair_counts import PAIRS_PER_BLOCK, Doubles, PairCounts, Sequences, count_pairs, first_of_each

MAX_ENTRIES = 50_000_000
"""Entries kept over all items, 400 MB; each item keeps its share of them, the strongest."""


def distance_weights(settings: TransitionSettings, longest: int | None = None) -> Doubles:
    """float64 [longest] weight of a pair by distance 1, 2, ...; 0 beyond the settings' window."""
    distance = np.arange(1, (longest or settings.window) + 1)
    return np.where(distance <= settings.window, distance**-settings.distance_power, 0.0)


def fit_transitions(
    item_rows: IntArray,
    offsets: IntArray,
    n_rows: int,
    settings: TransitionSettings,
    *,
    max_neighbours: int | None = None,
    pairs_per_block: int = PAIRS_PER_BLOCK,
) -> Transitions:
    """Count what follows what in int64 [N] item rows, by user and in order; users begin at `offsets` [U + 1].

    Each item keeps its `max_neighbours` strongest followers, by default its share of `MAX_ENTRIES`.
    Raises `DataError` when rows or offsets do not fit.
    """
    sequences = Sequences.of(item_rows, offsets, n_rows)
    neighbours = max_neighbours or max(1, MAX_ENTRIES // n_rows)
    blocks = count_pairs(sequences, n_rows, settings.window, pairs_per_block)
    return assemble(sequences, n_rows, settings, blocks, settings.window, neighbours)


def assemble(
    sequences: Sequences,
    n_rows: int,
    settings: TransitionSettings,
    blocks: Iterable[PairCounts],
    window: int,
    neighbours: int,
) -> Transitions:
    """Transitions of counts made for `window`, which may be wider than that of the settings."""
    frequency = sequences.frequency(n_rows)
    n_items = max(1, int(np.count_nonzero(frequency)))
    scale = n_items / settings.smoothing
    weights = distance_weights(settings, window)
    parts = []
    for block in blocks:
        counted = block.weighted(weights)
        kept = _strongest(block.cells // n_rows, counted, neighbours)
        following = block.weighted(np.eye(1, window)[0])[kept]
        parts.append((block.cells[kept], _log1p(counted[kept] * scale), _log1p(following * scale)))
    cells, evidence, next_evidence = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Transitions(
        indptr=np.searchsorted(cells, np.arange(n_rows + 1) * n_rows),
        indices=(cells % n_rows).astype(np.int32),
        evidence=evidence,
        next_evidence=next_evidence,
        log_popularity=np.log((frequency + 1) / (frequency.sum() + n_items)).astype(np.float32),
        settings=settings,
    )


def _strongest(sources: IntArray, counted: Doubles, neighbours: int) -> IntArray:
    """Ascending places of the cells that count and are among the strongest of their source."""
    positive = np.flatnonzero(counted > 0)
    sources, counted = sources[positive], counted[positive]
    if not len(sources) or np.bincount(sources).max() <= neighbours:
        return positive
    order = np.lexsort((-counted, sources))
    first = first_of_each(sources)
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return positive[np.sort(order[place < neighbours])]


def _log1p(values: Doubles) -> HalfArray:
    return np.log1p(values).astype(np.float16)

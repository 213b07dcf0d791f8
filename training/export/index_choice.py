"""Which index a catalogue gets: exact while that is fast, above it the fastest codes that find what exact search finds.

Measured on the catalogue itself, with user vectors of the training data as queries, on one thread as in serving.
n rows, Q queries, D embedding_dim.
"""

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import numpy as np

from features.arrays import FloatArray
from features.strict import StrictConfig
from serving.retrieval.bitmap import pack
from serving.retrieval.eligibility import Eligible
from serving.retrieval.index import ItemIndex

EXACT_ITEMS = 100_000
"""Up to so many rows exact search takes about 2 ms on one thread."""
DEPTH = 500
"""Places of an exact answer that a search must find."""
DEPTHS = (50, 200)
"""Fewer places, for which fewer cells may be enough."""
FLOOR = 0.99
"""Least mean share of them."""
CODES = ("Flat", "SQ8", "SQ4")
PROBES = (8, 16, 32, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024)
CELLS = 4.0
"""Cells over the square root of the number of items. At a million items, 4,096 cells find 200 items in half the time of
2,048; 8,192 are no faster and take three times as long to find (benchmarks/serving/NOTES.md)."""
SLOWER = 1.2
"""A choice that is at most so many times slower than the fastest, but smaller, is taken."""


class IndexTrial(StrictConfig):
    """One index that was tried."""

    codes: str
    """How vectors are held: `exact`, or FAISS's name of the codes."""
    cells: int = 0
    probes: int = 0
    recall: float = 1.0
    """Mean share of the nearest items that are found, `depth` of them."""
    milliseconds: float = 0.0
    """Median of one search."""
    megabytes: float = 0.0
    """Of vectors or codes, shared between processes."""
    depth: int = DEPTH
    """Number of items asked for."""
    chosen: bool = False


def choose_index(vectors: FloatArray, draw_queries: Callable[[], FloatArray]) -> tuple[ItemIndex, list[IndexTrial]]:
    """An index of float32 [R, D], and what was tried with float32 [Q, D]: nothing where exact search is fast."""
    if len(vectors) <= EXACT_ITEMS:
        return ItemIndex.build(vectors), []
    eligible = Eligible(pack(np.any(vectors, axis=1)))
    exact, queries = ItemIndex.build(vectors), draw_queries()
    truth = [exact.search(query, DEPTH, eligible) for query in queries]
    first = (exact, _trial(exact, "exact", queries, truth, eligible, vectors))
    tried = [first, *_probed(vectors, queries, truth, eligible)]
    good = [pair for pair in tried if pair[1].recall >= FLOOR]
    fastest = min(trial.milliseconds for _, trial in good)
    index, best = min(
        (pair for pair in good if pair[1].milliseconds <= SLOWER * fastest),
        key=lambda pair: (pair[1].megabytes, pair[1].milliseconds),
    )
    told = [trial.model_copy(update={"chosen": trial is best}) for _, trial in tried]
    if not best.probes:
        return index, told
    fewer = [_fewest(index, best, depth, queries, truth, eligible, vectors) for depth in DEPTHS]
    return index.with_probes({one.depth: one.probes for one in [*fewer, best]}), [*told, *fewer]


def _fewest(
    index: ItemIndex,
    best: IndexTrial,
    depth: int,
    queries: FloatArray,
    truth: Sequence[np.ndarray],
    eligible: Eligible,
    vectors: FloatArray,
) -> IndexTrial:
    """The fewest cells of the chosen index that find enough of the `depth` nearest items."""
    expected = [rows[:depth] for rows in truth]
    for probes in (one for one in PROBES if one < best.probes):
        fewer = index.with_probes({depth: probes})
        trial = _trial(fewer, best.codes, queries, expected, eligible, vectors, depth)
        if trial.recall >= FLOOR:
            return trial.model_copy(update={"chosen": True})
    whole = index.with_probes({depth: best.probes})
    return _trial(whole, best.codes, queries, expected, eligible, vectors, depth).model_copy(update={"chosen": True})


def _probed(
    vectors: FloatArray, queries: FloatArray, truth: Sequence[np.ndarray], eligible: Eligible
) -> Iterator[tuple[ItemIndex, IndexTrial]]:
    """Per kind of code, with more and more probes until enough is found."""
    cells = 2 ** round(np.log2(CELLS * np.sqrt(len(vectors))))
    index: ItemIndex | None = None
    for codes in CODES:
        index = ItemIndex.train(vectors, cells, codes, like=index)
        for probes in PROBES:
            probed = index.with_probes({DEPTH: probes})
            trial = _trial(probed, codes, queries, truth, eligible, vectors)
            yield probed, trial
            if trial.recall >= FLOOR:
                break


def _trial(
    index: ItemIndex,
    codes: str,
    queries: FloatArray,
    truth: Sequence[np.ndarray],
    eligible: Eligible,
    vectors: FloatArray,
    depth: int = DEPTH,
) -> IndexTrial:
    found, seconds = [], []
    for query, expected in zip(queries, truth, strict=True):
        start = perf_counter()
        rows = index.search(query, depth, eligible)
        seconds.append(perf_counter() - start)
        found.append(np.isin(expected, rows).mean())
    bits = {"SQ8": 8, "SQ4": 4}.get(codes, 32)
    return IndexTrial(
        codes=codes,
        cells=index.cells,
        probes=index.probes.get(depth, 0),
        recall=round(float(np.mean(found)), 4),
        milliseconds=round(1000 * float(np.median(seconds)), 3),
        megabytes=round(vectors.size * bits / 8 / 1e6, 1),
        depth=depth,
    )

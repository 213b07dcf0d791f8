"""Which index a catalogue gets: exact while that is fast, above it the fastest codes that find what exact search finds,
or the kind that a configuration asks for, in the codes and cells that find so much.

Measured on the catalogue itself, with user vectors of the training data as queries, on one thread as in serving.
n rows, Q queries, D embedding_dim.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from features.arrays import FloatArray, IntArray
from features.strict import StrictConfig
from serving.retrieval.bitmap import pack
from serving.retrieval.eligibility import FEW, Eligible
from serving.retrieval.index import ItemIndex
from serving.retrieval.scores import best_of
from serving.retrieval.shards import blocks
from training.export.index_config import IndexConfig

EXACT_ITEMS = 100_000
"""Up to so many rows exact search takes about 2 ms on one thread."""
DEPTH = 500
"""Places of an exact answer that a search must find."""
DEPTHS = (50, 200)
"""Fewer places, for which fewer cells may be enough."""
FLOOR = 0.99
"""Least mean share of them."""
CODES = ("Flat", "SQ8", "SQ4")
PRODUCT_DIMS = (2, 4)
"""Numbers of a vector that share one byte of product codes."""
PROBES = (8, 16, 32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640, 768, 1024)
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


class Asked(NamedTuple):
    """What every trial is asked, and what it should find."""

    vectors: FloatArray
    queries: FloatArray
    truth: list[IntArray]
    """`DEPTH` rows of each query, best first."""
    eligible: Eligible


def choose_index(
    vectors: FloatArray,
    draw_queries: Callable[[], FloatArray],
    config: IndexConfig | None = None,
    folder: Path | None = None,
) -> tuple[ItemIndex, list[IndexTrial]]:
    """An index of float32 [R, D], and what was tried with float32 [Q, D]: nothing where exact search is fast.

    Shards are kept in `folder` until the index is saved, if one is given.
    """
    config = config or IndexConfig()
    if len(vectors) <= {"exact": len(vectors), "auto": EXACT_ITEMS}.get(config.kind, FEW):
        return ItemIndex.build(vectors, config.shards), []
    asked = asked_of(vectors, draw_queries())
    tried = list(_probed(asked, config, folder))
    if config.kind == "auto":
        exact = ItemIndex.build(vectors, config.shards)
        tried = [(exact, _trial(exact, "exact", asked)), *tried]
    index, best = _best(tried)
    told = [trial.model_copy(update={"chosen": trial is best}) for _, trial in tried]
    if not best.probes:
        return index, told
    fewer = [_fewest(index, best, depth, asked) for depth in DEPTHS]
    return index.with_probes({one.depth: one.probes for one in [*fewer, best]}), [*told, *fewer]


def _best(tried: Sequence[tuple[ItemIndex, IndexTrial]]) -> tuple[ItemIndex, IndexTrial]:
    """The smallest of those that are nearly the fastest of those that find enough; if none does, what finds most."""
    good = [pair for pair in tried if pair[1].recall >= FLOOR]
    if not good:
        return max(tried, key=lambda pair: pair[1].recall)
    fastest = min(trial.milliseconds for _, trial in good)
    return min(
        (pair for pair in good if pair[1].milliseconds <= SLOWER * fastest),
        key=lambda pair: (pair[1].megabytes, pair[1].milliseconds),
    )


def asked_of(vectors: FloatArray, queries: FloatArray) -> Asked:
    """float32 [Q, D] with what is nearest to each, by looking at all of [R, D], a block at a time."""
    nearest: list[tuple[IntArray, FloatArray]] = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    placed = []
    for start, block in blocks(vectors):
        placed.append(np.any(block, axis=1))
        for place, products in enumerate(np.where(placed[-1], queries @ block.T, -np.inf)):
            nearest[place] = _nearer(*nearest[place], start, products)
    return Asked(vectors, queries, [rows for rows, _ in nearest], Eligible(pack(np.concatenate(placed))))


def _nearer(rows: IntArray, scores: FloatArray, start: int, products: FloatArray) -> tuple[IntArray, FloatArray]:
    """The best `DEPTH` of what was best before [k] and of the rows from `start` on [n], best first."""
    new = best_of(np.arange(len(products)), products, DEPTH)
    rows, scores = np.concatenate([rows, start + new]), np.concatenate([scores, products[new]])
    kept = np.argsort(-scores, kind="stable")[:DEPTH]
    return rows[kept], scores[kept]


def _fewest(index: ItemIndex, best: IndexTrial, depth: int, asked: Asked) -> IndexTrial:
    """The fewest cells of the chosen index that find enough of the `depth` nearest items."""
    for probes in (one for one in PROBES if one < best.probes):
        trial = _trial(index.with_probes({depth: probes}), best.codes, asked, depth)
        if trial.recall >= FLOOR:
            return trial.model_copy(update={"chosen": True})
    whole = index.with_probes({depth: best.probes})
    return _trial(whole, best.codes, asked, depth).model_copy(update={"chosen": True})


def _probed(asked: Asked, config: IndexConfig, folder: Path | None) -> Iterator[tuple[ItemIndex, IndexTrial]]:
    """Per kind of code, with more and more probes until enough is found."""
    cells = cells_of(len(asked.vectors))
    index: ItemIndex | None = None
    for codes in product_codes(asked.vectors.shape[1]) if config.kind == "ivfpq" else CODES:
        place = folder / codes if folder is not None and config.shards > 1 else None
        index = ItemIndex.train(asked.vectors, cells, codes, like=index, shards=config.shards, folder=place)
        for probes in (one for one in PROBES if one <= cells):
            probed = index.with_probes({DEPTH: probes})
            trial = _trial(probed, codes, asked)
            yield probed, trial
            if trial.recall >= FLOOR:
                break


def cells_of(n_rows: int) -> int:
    """Number of cells of an index of so many rows."""
    return int(2 ** round(np.log2(CELLS * np.sqrt(n_rows))))


def product_codes(dim: int) -> list[str]:
    """FAISS's names of the product codes for vectors of so many numbers, the longest first."""
    return [f"PQ{dim // each}" for each in PRODUCT_DIMS if dim % each == 0]


def _trial(index: ItemIndex, codes: str, asked: Asked, depth: int = DEPTH) -> IndexTrial:
    found, seconds = [], []
    for query, expected in zip(asked.queries, asked.truth, strict=True):
        start = perf_counter()
        rows = index.search(query, depth, asked.eligible)
        seconds.append(perf_counter() - start)
        found.append(np.isin(expected[:depth], rows).mean())
    return IndexTrial(
        codes=codes,
        cells=index.cells,
        probes=index.probes.get(depth, 0),
        recall=round(float(np.mean(found)), 4),
        milliseconds=round(1000 * float(np.median(seconds)), 3),
        megabytes=round(len(asked.vectors) * _bytes_of(codes, asked.vectors.shape[1]) / 1e6, 1),
        depth=depth,
    )


def _bytes_of(codes: str, dim: int) -> float:
    """Bytes of one vector."""
    return float(codes[2:]) if codes.startswith("PQ") else dim * {"SQ8": 1, "SQ4": 0.5}.get(codes, 4)

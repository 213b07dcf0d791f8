"""One index in several files, each of a range of item rows: what one machine builds, maps and renews a part at a time.

All shards have the same cells and codes, so that together they find what one index of all rows would. A shard's rows
count from 0; it begins where the one before it ends, at a whole byte of a bitmap of rows.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import faiss
import numpy as np

from features.arrays import ByRow, FloatArray, IntArray
from serving.retrieval.bitmap import Bitmap, contains, size

SAMPLED = 64
"""Vectors that k-means sees for each cell."""
ROUNDS = 10
"""Of k-means for product codes, as many as FAISS has for cells."""
BLOCK = 200_000
"""Rows that are read at a time of vectors that may not fit into memory."""
BITS_A_BYTE = 8
NEARLY_ALL = 0.9
"""Share of eligible rows from which on a search looks at all rows of its cells."""
MORE = 32
"""Rows that it then brings beyond as many as hold enough eligible ones on average."""


class Found(NamedTuple):
    """The best of an index as its codes tell, best first."""

    scores: FloatArray
    """float32 [n] products."""
    rows: IntArray
    """int64 [n]"""


class Shards:
    """FAISS indexes side by side; positions are item rows."""

    def __init__(self, parts: Sequence["faiss.Index"]) -> None:
        """`parts` in the order of their rows; the length of each but the last is a multiple of eight."""
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *(part.ntotal for part in self._parts)]).tolist()

    def __len__(self) -> int:
        return len(self._parts)

    @classmethod
    def exact(cls, vectors: FloatArray, shards: int = 1) -> Self:
        """Every vector as it is, float32 [R, D]."""
        return cls([_flat(vectors[start:stop]) for start, stop in _ranges(len(vectors), shards)])

    @classmethod
    def trained(
        cls,
        vectors: FloatArray,
        cells: int,
        codes: str,
        *,
        shards: int = 1,
        like: Self | None = None,
        folder: Path | None = None,
    ) -> Self:
        """`cells` k-means cells that hold float32 [R, D] as `codes` ("Flat", "SQ8", "PQ32", ...), in FAISS's words.

        With `like`, the cells are those of others, and k-means need not run again. With `folder`, each shard is written
        there once it is full and mapped from then on, so that one at a time is in memory.
        """
        dim = vectors.shape[1]
        empty = faiss.index_factory(dim, f"IVF{cells},{codes}", faiss.METRIC_INNER_PRODUCT)
        empty.cp.max_points_per_centroid = SAMPLED  # type: ignore[attr-defined]
        if hasattr(empty, "pq"):
            empty.pq.cp.niter = ROUNDS
            # Orders the codes for another way to search, and takes longer than all else.
            empty.do_polysemous_training = False  # type: ignore[attr-defined]
        if like is not None:
            empty.quantizer.add(like._parts[0].quantizer.reconstruct_n(0, cells))  # type: ignore[attr-defined]
        empty.train(_sample(vectors, cells * SAMPLED))
        parts = []
        for number, (start, stop) in enumerate(_ranges(len(vectors), shards)):
            part = faiss.clone_index(empty)
            for begin in range(start, stop, BLOCK):
                part.add(np.ascontiguousarray(vectors[begin : min(begin + BLOCK, stop)], dtype=np.float32))
            parts.append(part if folder is None else _spilled(part, folder / f"{number}.faiss"))
        return cls(parts)

    @property
    def cells(self) -> int:
        """Number of cells; 0 where every vector is looked at."""
        return int(getattr(self._parts[0], "nlist", 0))

    @property
    def coarse(self) -> bool:
        """Whether codes tell vectors apart so little that many more must be brought than are wanted."""
        return hasattr(self._parts[0], "pq")

    def search(self, query: FloatArray, count: int, eligible: Bitmap, probes: int = 0) -> IntArray:
        """Rows, int64 [n <= count] in no order, of the best of those eligible as the codes tell.

        float32 [D] in `probes` cells, or in all of an index without. What the shards bring is merged by the products of
        their codes, which mean the same in each.
        """
        asked = zip(self._parts, self._starts, strict=False)
        found = [_found(part, start, query, count, eligible, probes) for part, start in asked]
        scores, rows = (np.concatenate(each) for each in zip(*found, strict=True))
        return rows if len(rows) <= count else rows[np.argpartition(-scores, count - 1)[:count]]

    def save(self, path: Path) -> None:
        """Write the first shard as `path`, and the others beside it."""
        for number, part in enumerate(self._parts):
            faiss.write_index(part, str(_file(path, number)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map files that a manifest's hash vouches for; pages are shared between processes and read when needed."""
        return cls([_mapped(file) for file in _files(path)])


def renew(source: Path, target: Path, vectors: ByRow[np.float32], changed: IntArray) -> None:
    """Write the files of an index as they would be over other vectors; `changed` rows [n], new ones among them.

    One shard at a time is in memory, and one without a change is copied. New rows belong to the last.
    """
    files = _files(source)
    start = 0
    for number, file in enumerate(files):
        stop = start + _mapped(file).ntotal if number < len(files) - 1 else len(vectors)
        mine = changed[(changed >= start) & (changed < stop)]
        if len(mine):
            faiss.write_index(_renewed(file, vectors, mine, start, stop), str(_file(target, number)))
        else:
            shutil.copyfile(file, _file(target, number))
        start = stop


def _found(part: "faiss.Index", start: int, query: FloatArray, count: int, eligible: Bitmap, probes: int) -> Found:
    """The best of one shard; its rows as the whole index counts them."""
    mine = eligible[start // BITS_A_BYTE : (start + part.ntotal + BITS_A_BYTE - 1) // BITS_A_BYTE]
    found = _among_all(part, query, count, mine, probes) if probes else None
    if found is None:
        # The published types describe the C++ signatures, not the Python wrappers that take arrays.
        allowed = faiss.IDSelectorBitmap(mine)  # type: ignore[call-arg, arg-type]
        given = {"sel": allowed, "nprobe": probes} if probes else {"sel": allowed}
        how = (faiss.SearchParametersIVF if probes else faiss.SearchParameters)(**given)
        found = _asked(part, query, count, how)
    return Found(found.scores, found.rows + start)


def _among_all(part: "faiss.Index", query: FloatArray, count: int, eligible: Bitmap, probes: int) -> Found | None:
    """The best `count` eligible rows of an index, found among all rows of its cells; None where that takes too many.

    To ask of each row whether it is eligible costs a third of a search, and mostly nearly all are.
    """
    share = size(eligible) / part.ntotal
    if share < NEARLY_ALL:
        return None
    how = faiss.SearchParametersIVF(nprobe=probes)  # type: ignore[call-arg]
    scores, rows = _asked(part, query, int(count / share) + MORE, how)
    here = contains(eligible, rows)
    return Found(scores[here][:count], rows[here][:count]) if here.sum() >= count else None


def _asked(part: "faiss.Index", query: FloatArray, count: int, how: "faiss.SearchParameters") -> Found:
    scores, rows = part.search(query[None, :], count, params=how)
    here = rows[0] >= 0
    return Found(scores[0][here], rows[0][here])


def _renewed(file: Path, vectors: ByRow[np.float32], rows: IntArray, start: int, stop: int) -> "faiss.Index":
    """A shard in memory; its cells stay those that were trained."""
    part = faiss.read_index(str(file))
    if not hasattr(part, "nlist"):
        return _flat(vectors[np.arange(start, stop)])
    ids = np.ascontiguousarray(rows - start, dtype=np.int64)
    part.remove_ids(faiss.IDSelectorBatch(ids))
    part.add_with_ids(np.ascontiguousarray(vectors[rows], dtype=np.float32), ids)
    return part


def _ranges(n_rows: int, shards: int) -> Iterator[tuple[int, int]]:
    """First and last row but one of each shard, as even as whole bytes allow; fewer of them where rows are few."""
    size = max(-(-n_rows // (shards * BITS_A_BYTE)), 1) * BITS_A_BYTE
    return ((start, min(start + size, n_rows)) for start in range(0, max(n_rows, 1), size))


def _flat(vectors: FloatArray) -> "faiss.Index":
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def _sample(vectors: FloatArray, most: int) -> FloatArray:
    """float32 [n, D]: vectors that are not zero, at most so many, the same each time."""
    rows = np.concatenate([start + np.flatnonzero(np.any(block, axis=1)) for start, block in blocks(vectors)])
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return np.ascontiguousarray(vectors[rows], dtype=np.float32)


def blocks(vectors: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """float32 [n, D] by their first row, a part at a time."""
    for start in range(0, len(vectors), BLOCK):
        yield start, np.asarray(vectors[start : start + BLOCK])


def _spilled(part: "faiss.Index", file: Path) -> "faiss.Index":
    file.parent.mkdir(parents=True, exist_ok=True)
    faiss.write_index(part, str(file))
    return _mapped(file)


def _mapped(file: Path) -> "faiss.Index":
    return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)


def _file(path: Path, number: int) -> Path:
    """Where a shard lies: the first as the index itself."""
    return path if number == 0 else path.with_name(f"{path.stem}.{number}{path.suffix}")


def _files(path: Path) -> list[Path]:
    """The files of an index, in the order of their rows."""
    files = [path]
    while (following := _file(path, len(files))).is_file():
        files.append(following)
    return files

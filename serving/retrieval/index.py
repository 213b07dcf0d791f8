"""Nearest-item search over item vectors.

The index holds L2-normalised vectors by item row and searches by inner product, which is what the towers are
trained on. The rows that may be shown are given to the search, so that no other ever takes an answer's place:

- exact: all rows of a small catalogue are looked at, and all eligible rows when they are few;
- probed: of a large catalogue the nearest cells are searched, more of them the fewer rows are eligible and the more
  are wanted;
- on a device all rows are looked at, however many there are (serving/retrieval/device_search.py).

What is found is put in order by exact products, with the vectors as the catalogue maps them. Rows that changed since
the index was written are left out of the search and looked at one by one. One query per call: batched queries change
low bits (DESIGN.md, "Direction").
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import faiss
import numpy as np

from features.arrays import ByRow, FloatArray, IntArray
from features.errors import BundleError
from features.vocabulary import RESERVED
from serving.retrieval.device_search import NONE, DeviceSearch
from serving.retrieval.eligibility import Eligible
from serving.retrieval.scores import best_of, dots
from serving.retrieval.shards import Shards, blocks, renew

NORM_TOLERANCE = 1e-3
SPARE = 32
"""Rows that a search in codes brings beyond those asked for: exact products may put them before others."""
COARSE = 3
"""Rows that a search in product codes brings for each that is wanted, beside those: with 16 to 32 bytes a vector they
tell near ones apart too little (benchmarks/operate/RESULTS.md)."""
PROBES = ".probes.json"

PlanName = Literal["exact", "probed"]


@dataclass(frozen=True)
class Plan:
    """How eligible rows are searched."""

    name: PlanName
    cells: int = 0
    """Cells of the index that are searched; 0 when exact."""


class ItemIndex:
    """Inner-product index; positions are item rows."""

    def __init__(
        self,
        index: Shards,
        vectors: ByRow[np.float32],
        changed: IntArray | None = None,
        on_device: DeviceSearch | None = None,
        probes: Mapping[int, int] | None = None,
    ) -> None:
        """`vectors` float32 [R, D] by row; `changed` rows [n] ascending, whose vectors the index does not know.

        `on_device` searches in place of `index`, over the same vectors. `probes` as the attribute of that name.
        """
        self.probes = dict(sorted((probes or {}).items()))
        """How many cells are searched when every row is eligible, by the number of rows wanted; none when exact."""
        self._index = index
        self._vectors = vectors
        self._changed = np.empty(0, dtype=np.int64) if changed is None else changed
        self._on_device = on_device

    @classmethod
    def build(cls, vectors: FloatArray, shards: int = 1) -> "ItemIndex":
        """An exact index of float32 [R, D].

        A zero vector is an item that the tower knows nothing of: its product of 0 would beat all that are unlike a
        query, so a search must leave it out. Raises BundleError if any other vector is not normalised.
        """
        _require_unit(vectors)
        return cls(Shards.exact(vectors, shards), vectors)

    @classmethod
    def train(
        cls,
        vectors: FloatArray,
        cells: int,
        codes: str,
        like: "ItemIndex | None" = None,
        *,
        shards: int = 1,
        folder: Path | None = None,
    ) -> "ItemIndex":
        """An index of `cells` k-means cells that hold vectors as `codes`; the arguments are those of `Shards.trained`.

        Raises BundleError if a vector is not normalised.
        """
        _require_unit(vectors)
        known = None if like is None else like._index
        return cls(Shards.trained(vectors, cells, codes, shards=shards, like=known, folder=folder), vectors)

    @property
    def cells(self) -> int:
        """Number of cells; 0 for an exact index."""
        return self._index.cells

    def with_probes(self, probes: Mapping[int, int]) -> "ItemIndex":
        """The same index, searched in other numbers of cells."""
        return ItemIndex(self._index, self._vectors, self._changed, self._on_device, probes)

    def with_changes(self, vectors: ByRow[np.float32], changed: IntArray) -> "ItemIndex":
        """The same index over vectors of which some rows are others than those that it was built from."""
        return ItemIndex(self._index, vectors, changed, self._on_device, self.probes)

    def plan(self, eligible: Eligible, count: int) -> Plan:
        """How the best `count` of these rows would be searched."""
        if self._on_device is not None or not self.cells or eligible.few is not None:
            return Plan("exact")
        share = eligible.count / len(self._vectors)
        probes = next((cells for most, cells in self.probes.items() if count <= most), self.cells)
        return Plan("probed", min(self.cells, int(np.ceil(probes / share))))

    def search(self, query: FloatArray, count: int, eligible: Eligible) -> IntArray:
        """Rows of the `count` best eligible items, best first; query float32 [D]."""
        plan = self.plan(eligible, count)
        if self.cells and plan.name == "exact" and eligible.few is not None:
            rows = eligible.few
        else:
            changed = self._changed[eligible.has(self._changed)]
            unchanged = eligible.but(self._changed) if len(self._changed) else eligible
            rows = np.sort(np.concatenate([self._found(query, count, unchanged, plan), changed]))
        return best_of(rows, dots(self._vectors[rows], query), count)

    def _found(self, query: FloatArray, count: int, eligible: Eligible, plan: Plan) -> IntArray:
        if self._on_device is not None:
            rows = self._on_device(query[None, :], count + SPARE, eligible.bitmap)
            return np.asarray(rows[0][rows[0] != NONE])
        if plan.name == "probed":
            count = count * (COARSE if self._index.coarse else 1) + SPARE
        return self._index.search(query, count, eligible.bitmap, plan.cells)

    def save(self, path: Path) -> None:
        """Write the index file, its further shards beside it, and in how many cells they are searched."""
        self._index.save(path)
        path.with_suffix(PROBES).write_text(json.dumps(self.probes), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, vectors: ByRow[np.float32], on_device: DeviceSearch | None = None) -> "ItemIndex":
        """Map an index file that a manifest's hash vouches for; pages are shared between processes."""
        faiss.omp_set_num_threads(1)
        return cls(Shards.load(path), vectors, on_device=on_device, probes=_read_probes(path))


def renew_index(source: Path, target: Path, vectors: ByRow[np.float32], changed: IntArray) -> None:
    """Write the index of a file as it would be over other vectors; `changed` rows, new ones among them.

    The cells stay those that were trained.
    """
    renew(source, target, vectors, changed)
    shutil.copyfile(source.with_suffix(PROBES), target.with_suffix(PROBES))


def _read_probes(path: Path) -> dict[int, int]:
    content = json.loads(path.with_suffix(PROBES).read_text(encoding="utf-8"))
    return {int(count): int(cells) for count, cells in content.items()}


def _require_unit(vectors: FloatArray) -> None:
    norms = np.concatenate([np.linalg.norm(block, axis=1) for _, block in blocks(vectors)])[RESERVED:]
    norms = norms[norms > 0]
    if len(norms) and not np.allclose(norms, 1.0, atol=NORM_TOLERANCE):
        raise BundleError(
            f"item vectors must be L2-normalised; norms run from {norms.min():.3f} to {norms.max():.3f}",
            hint="Was the item tower exported without its last layer?",
        )

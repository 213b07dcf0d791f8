"""What people take next: smoothed item-to-item transition counts, asked one history at a time.

The score of item b after a history h, newest event first, is

    score(b | h) = sum over ages j of kernel[j] * E[h_j, b]  +  popularity_weight * log p(b)
    E[a, b]      = log(1 + C[a, b] * n_items / smoothing)
    C[a, b]      = sum over distances d = 1, 2, ... of d^-distance_power * (times b came d events after a)

after "PCTM" of spotify-research/sequential-capacity-probes (RecSys 2026). What `query` answers for a history
is the same to the bit whenever it is asked: sums run in one order on one thread.

A question costs as much as the followers of a history are many, however large the catalogue is.

Letters: R rows of the item table, N stored entries, T events of a history, K kernels of the ranker.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from features.arrays import FloatArray, IntArray, mapped
from features.errors import BundleError
from features.strict import StrictConfig
from features.vocabulary import PAD, RESERVED

DENSE_CELLS = 16_000_000
"""Up to this many R x R cells the evidence is also held dense, in at most 64 MB of each process."""
RECENT_EVENTS = 20
RECENT_DECAY = 0.6
HISTORY = 4
"""The kernel whose sum is the score."""
KERNELS = ("last_item", "last_item_next", "recent_decayed", "recent_even", "history")
"""The columns of the evidence: what follows the last item at all distances, and at distance 1; the newest
20 events weighted .6^age, and evenly; the whole history as in the score, without popularity."""

_ARRAYS = {
    "indptr": np.int64,
    "indices": np.int32,
    "evidence": np.float16,
    "next_evidence": np.float16,
    "log_popularity": np.float32,
}


HalfArray: TypeAlias = npt.NDArray[np.float16]
"""Three digits, in half the memory: benchmarks/serving/NOTES.md has what that changes."""


class TransitionSettings(StrictConfig):
    """How transitions are counted, smoothed, and summed over a history."""

    window: Annotated[int, Field(ge=1, le=255)] = 20
    """Farthest distance at which one event counts as following another, in events."""
    distance_power: Annotated[float, Field(ge=0)] = 1.0
    """A pair at distance d counts 1 / d^distance_power; 0 counts all distances alike."""
    smoothing: Annotated[float, Field(gt=0)] = 150.0
    """Pseudo-count spread over the catalogue: with a large one only pairs that came often weigh."""
    head: Annotated[int, Field(ge=1)] = 7
    """Newest events that share `head_mass`, in events."""
    head_mass: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the weight that lies on the head; the older events share the rest evenly."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Weight of an event in the head relative to the next newer one."""
    popularity_weight: float = 0.0
    """Factor of log popularity in the score; below zero it favours what is rare."""
    max_history: Annotated[int, Field(ge=1)] = 200
    """Newest events of a history that are used, in events."""

    def kernel(self, length: int) -> npt.NDArray[np.float64]:
        """float64 [length] weights of the events of a history, newest first; they sum to 1."""
        head = min(self.head, length)
        weights = np.zeros(length)
        weights[:head] = self.decay ** np.arange(head)
        weights /= weights.sum() if length else 1.0
        if length > head:
            weights *= self.head_mass
            weights[head:] = (1.0 - self.head_mass) / (length - head)
        return weights


@dataclass(frozen=True)
class TransitionEvidence:
    """All that the transitions say after one history, of the n items that ever followed something in it."""

    rows: IntArray
    """int64 [n], ascending."""
    kernels: FloatArray
    """float32 [n, K] evidence by kernel, named in `KERNELS`."""
    transitions: "Transitions"

    def own_totals(self, places: IntArray) -> FloatArray:
        """float32 [m] the same of some of `self.rows`, named by their places."""
        return self.totals_of(self.rows[places], self.kernels[places])

    def totals(self, rows: IntArray) -> FloatArray:
        """float32 [m] score of any rows, with the popularity term."""
        return self.totals_of(rows, self.kernels_of(rows))

    def totals_of(self, rows: IntArray, evidence: FloatArray) -> FloatArray:
        """The same where `kernels_of` the rows is known."""
        totals: FloatArray = evidence[:, HISTORY] + self.transitions.popularity_term(rows)
        return totals

    def kernels_of(self, rows: IntArray) -> FloatArray:
        """float32 [m, K] evidence of any rows; 0 where there is none."""
        evidence = np.zeros((len(rows), len(KERNELS)), dtype=np.float32)
        if len(self.rows):
            places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
            found = self.rows[places] == rows
            evidence[found] = self.kernels[places[found]]
        return evidence


class Transitions:
    """Evidence that one item follows another, as a sparse matrix, and the popularity of each item.

    indptr int64 [R + 1], indices int32 [N]: the items that followed item r are
        `indices[indptr[r]:indptr[r + 1]]`, each once, in ascending order.
    evidence float16 [N]: E of the module's formula, rounded once, at the fit, so that whoever asks sees the same
        number. next_evidence float16 [N]: the same for distance 1 only.
    log_popularity float32 [R]: log p, in nats.

    A small catalogue is also laid out as a dense matrix, which answers four times faster.
    """

    def __init__(
        self,
        *,
        indptr: IntArray,
        indices: npt.NDArray[np.int32],
        evidence: HalfArray,
        next_evidence: HalfArray,
        log_popularity: FloatArray,
        settings: TransitionSettings,
    ) -> None:
        self.indptr = indptr
        self.indices = indices
        self.evidence = evidence
        self.next_evidence = next_evidence
        self.log_popularity = log_popularity
        self.settings = settings
        self._dense = self._laid_out() if self.n_rows**2 <= DENSE_CELLS else None

    @property
    def n_rows(self) -> int:
        """R, the reserved rows included."""
        return len(self.log_popularity)

    def scores(self, history_rows: IntArray) -> FloatArray:
        """float32 [R] score of every item after a history of item rows [T], oldest first; -inf if reserved.

        For training, which judges the whole catalogue; an answer asks `query`, which costs less.
        Rows that the fit did not know are passed over. Without any known row the score is popularity's alone.
        """
        return self.query(history_rows).totals(np.arange(self.n_rows))

    def popularity_term(self, rows: IntArray) -> FloatArray:
        """float32 [n] part of the score that popularity has; a row that the fit did not know is one without events."""
        weight = self.settings.popularity_weight
        weighted = np.zeros(len(rows), dtype=np.float32)
        if weight:
            weighted[:] = weight * self.log_popularity[np.where(rows < self.n_rows, rows, PAD)]
        weighted[rows < RESERVED] = -np.inf
        return weighted

    def query(self, history_rows: IntArray) -> TransitionEvidence:
        """What follows a history of item rows [T], oldest first."""
        newest_first = self._known(history_rows)
        if len(newest_first) == 0:
            nothing = np.zeros((0, len(KERNELS)), dtype=np.float32)
            return TransitionEvidence(np.zeros(0, dtype=np.int64), nothing, self)
        rows, kernels = (self._of_all if self._dense is None else self._of_dense)(newest_first)
        return TransitionEvidence(rows, kernels, self)

    def _of_all(self, newest_first: IntArray) -> tuple[IntArray, FloatArray]:
        """Rows [n] and kernels [n, K], from the stored followers of each event."""
        stored, counts = self._stored(newest_first)
        ends = np.cumsum(counts)
        rows, slots = _distinct(self.indices[stored])
        evidence = self.evidence[stored].astype(np.float64)
        kernels = np.zeros((len(rows), len(KERNELS)), dtype=np.float32)
        last = slice(0, counts[0])
        kernels[slots[last], 0] = evidence[last]
        kernels[slots[last], 1] = self.next_evidence[stored[last]]
        for column, weights in self._weights(len(newest_first)):
            part = slice(0, ends[len(weights) - 1])
            spread = np.repeat(weights, counts[: len(weights)])
            kernels[:, column] = np.bincount(slots[part], spread * evidence[part], minlength=len(rows))
        return rows, kernels

    def _of_dense(self, newest_first: IntArray) -> tuple[IntArray, FloatArray]:
        """The same from the matrix of a small catalogue."""
        kernels = np.zeros((len(KERNELS), self.n_rows), dtype=np.float32)
        last = slice(self.indptr[newest_first[0]], self.indptr[newest_first[0] + 1])
        kernels[0, self.indices[last]] = self.evidence[last]
        kernels[1, self.indices[last]] = self.next_evidence[last]
        for column, weights in self._weights(len(newest_first)):
            kernels[column] = self.sum_after(newest_first[: len(weights)], weights)
        rows = np.flatnonzero(kernels.any(axis=0))
        return rows, np.ascontiguousarray(kernels[:, rows].T)

    def sum_after(self, rows: IntArray, weights: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """float32 [R] sum of the evidence after known `rows` [T] times `weights` [T]; for training, as `scores` is."""
        if self._dense is not None:
            dense: FloatArray = np.einsum("t,tr->r", weights.astype(np.float32), self._dense[rows])
            return dense
        stored, counts = self._stored(rows)
        values = np.repeat(weights, counts) * self.evidence[stored].astype(np.float64)
        return np.bincount(self.indices[stored], values, minlength=self.n_rows).astype(np.float32)

    def _stored(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Places [m] of the entries that are stored for each of `rows` [T], in their order, and their numbers [T]."""
        starts = self.indptr[rows]
        counts = self.indptr[rows + 1] - starts
        ends = np.cumsum(counts)
        return np.repeat(starts - (ends - counts), counts) + np.arange(counts.sum()), counts

    def _weights(self, length: int) -> tuple[tuple[int, npt.NDArray[np.floating[Any]]], ...]:
        """Columns of the kernels that are sums over events, with the weights of the newest events."""
        recent = min(length, RECENT_EVENTS)
        return (2, RECENT_DECAY ** np.arange(recent)), (3, np.ones(recent)), (HISTORY, self.settings.kernel(length))

    def row(self, item_row: int) -> tuple[IntArray, FloatArray]:
        """What follows one item: item rows int64 [n] and their evidence float32 [n], strongest first."""
        if not RESERVED <= item_row < self.n_rows:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        stored = slice(self.indptr[item_row], self.indptr[item_row + 1])
        evidence = self.evidence[stored].astype(np.float32)
        strongest = np.argsort(-evidence, kind="stable")
        return self.indices[stored][strongest].astype(np.int64), evidence[strongest]

    def between(self, item_rows: IntArray, following: int) -> FloatArray:
        """float32 [n] evidence that one item follows each of several items; 0 where none is stored."""
        found = np.zeros(len(item_rows), dtype=np.float32)
        for place in np.flatnonzero(item_rows < self.n_rows).tolist():
            row = item_rows[place]
            start, end = self.indptr[row], self.indptr[row + 1]
            entry = start + np.searchsorted(self.indices[start:end], following)
            if entry < end and self.indices[entry] == following:
                found[place] = self.evidence[entry]
        return found

    def save(self, directory: Path) -> None:
        """Write the arrays as .npy files and the settings as JSON into a directory, made when absent."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(directory / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (directory / "settings.json").write_text(self.settings.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Open what `save` wrote, memory-mapped. Raises `BundleError` if a file is absent or does not fit."""
        try:
            arrays = {name: mapped(directory / f"{name}.npy") for name in _ARRAYS}
            settings = TransitionSettings.model_validate_json((directory / "settings.json").read_bytes())
        except (OSError, EOFError, ValueError) as error:
            raise BundleError(f"the transitions in {directory} cannot be read: {error}") from None
        _check_shapes(arrays, directory)
        return cls(**arrays, settings=settings)

    def _known(self, history_rows: IntArray) -> IntArray:
        """The newest known events, newest first."""
        rows = np.asarray(history_rows, dtype=np.int64)
        known = rows[(rows >= RESERVED) & (rows < self.n_rows)]
        return known[::-1][: self.settings.max_history]

    def _laid_out(self) -> FloatArray:
        dense = np.zeros((self.n_rows, self.n_rows), dtype=np.float32)
        dense[np.repeat(np.arange(self.n_rows), np.diff(self.indptr)), self.indices] = self.evidence
        return dense


def _distinct(items: npt.NDArray[np.int32]) -> tuple[IntArray, IntArray]:
    """The distinct rows of `items` [m], ascending, and the place of each item among them.

    Rows and their places are sorted as one number each: numpy's own `unique` sorts places, which takes far longer.
    """
    keys = (items.astype(np.int64) << 32) | np.arange(len(items))
    keys.sort()
    rows = keys >> 32
    first = np.ones(len(rows), dtype=np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    slots = np.empty(len(rows), dtype=np.int64)
    slots[keys & 0xFFFFFFFF] = np.cumsum(first) - 1
    return rows[first], slots


def _check_shapes(arrays: dict[str, npt.NDArray[Any]], directory: Path) -> None:
    rows, entries = len(arrays["log_popularity"]), len(arrays["indices"])
    lengths = {"indptr": rows + 1, "indices": entries, "evidence": entries, "next_evidence": entries}
    for name, dtype in _ARRAYS.items():
        found, expected = arrays[name], (lengths.get(name, rows),)
        if found.dtype != dtype or found.shape != expected:
            raise BundleError(
                f"{directory / name}.npy holds {found.dtype} {found.shape}, expected {np.dtype(dtype)} {expected}",
                hint="The files are not of one fit; write the bundle again.",
            )
    if arrays["indptr"][-1] != entries:
        raise BundleError(
            f"{directory / 'indptr'}.npy ends at {arrays['indptr'][-1]}, but there are {entries} entries",
            hint="The files are not of one fit; write the bundle again.",
        )

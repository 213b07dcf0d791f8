"""Exact nearest-item search on a device: one matrix product over all items, and the best of it.

FAISS has the same on a GPU, but no package of it for the CUDA that ONNX Runtime needs is in our locks; a product and
a top-k are two nodes of a graph (`search.onnx` of a bundle, written by training/export/search.py). The item vectors
are copied to the device once; a call sends a query and a bitmap of R / 8 bytes, and gets rows back.
R item rows, B queries, D embedding_dim.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from features.arrays import ByRow, FloatArray, IntArray
from features.errors import BundleError
from serving.retrieval.bitmap import Bitmap
from serving.retrieval.device import Device, open_session

SEARCH = "search.onnx"
NONE = -1
"""Stands in a list of rows where there are fewer eligible ones than were asked for."""


class DeviceSearch:
    """A search over the vectors as they are now; safe to call from several threads."""

    def __init__(self, graph: Path, vectors: ByRow[np.float32], device: Device) -> None:
        """`vectors` float32 [R, D]. Raises ConfigError when the device cannot be had."""
        self._session = open_session(graph, device)
        self._rows = len(vectors)
        content = np.ascontiguousarray(np.asarray(vectors), dtype=np.float32)
        self._vectors = ort.OrtValue.ortvalue_from_numpy(content, device, 0)

    def __call__(self, queries: FloatArray, count: int, eligible: "npt.NDArray[np.uint8] | Bitmap") -> IntArray:
        """int64 [B, n <= count]: the best eligible rows of float32 [B, D], best first; `NONE` where there are no more.

        `eligible` is uint8 [B, ceil(R / 8)], or one bitmap for all; what it says of rows past the last is not read.
        """
        sets = np.broadcast_to(eligible, (len(queries), np.shape(eligible)[-1]))[:, : (self._rows + 7) // 8]
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("vectors", self._vectors)
        binding.bind_cpu_input("queries", np.ascontiguousarray(queries, dtype=np.float32))
        binding.bind_cpu_input("eligible", np.ascontiguousarray(sets))
        binding.bind_cpu_input("count", np.array([min(count, self._rows)], dtype=np.int64))
        for output in ("scores", "rows"):
            binding.bind_output(output, "cpu")
        self._session.run_with_iobinding(binding)
        scores, rows = binding.copy_outputs_to_cpu()
        return np.where(np.isfinite(scores), rows, NONE)


def search_on(device: Device, bundle: Path, vectors: ByRow[np.float32]) -> DeviceSearch | None:
    """The search of a bundle's vectors on a device; none on the processor, where the index searches.

    Raises BundleError for a bundle without the graph, and ConfigError when the device cannot be had.
    """
    if device == "cpu":
        return None
    if not (bundle / SEARCH).is_file():
        raise BundleError(
            f"{SEARCH} is missing, without which nothing is searched on a device: {bundle}",
            hint="Train the bundle again, or set serving.device to cpu.",
        )
    return DeviceSearch(bundle / SEARCH, vectors, device)

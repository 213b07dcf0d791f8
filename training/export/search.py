"""The graph that searches all items on a device: one product, the rows that are not eligible taken out, the best left.

It holds no item: vectors are an input, so that they lie on the device once, whatever changes. Which rows are eligible
comes as bits, lowest first, as everywhere (serving/retrieval/bitmap.py): a table turns each byte into eight summands,
0 or -inf.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from features.arrays import FloatArray
from features.errors import BundleError
from features.vocabulary import RESERVED
from serving.retrieval.bitmap import pack
from serving.retrieval.device_search import DeviceSearch

GRAPH = """
<ir_version: 10, opset_import: ["": 20]>
search (float[users, dim] queries, float[items, dim] vectors, uint8[users, bytes] eligible, int64[1] count)
    => (float[users, found] scores, int64[users, found] rows)
{
    products = Gemm <transB = 1> (queries, vectors)
    bytes = Cast <to = 6> (eligible)
    by_byte = Gather (summands, bytes)
    bits = Reshape (by_byte, one_line_a_user)
    number = Shape <start = 0, end = 1> (vectors)
    summand = Slice (bits, first, number, along)
    allowed = Add (products, summand)
    scores, rows = TopK <axis = 1> (allowed, count)
}
"""
PARITY_ITEMS = 203


def export_search(dim: int, path: Path) -> None:
    """Write the graph for vectors of `dim` numbers. Raises BundleError when it does not find what a sort finds."""
    model = parser.parse_model(GRAPH)
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    constants = {
        "summands": np.where(bits, 0.0, -np.inf).astype(np.float32),  # [256, 8]
        "one_line_a_user": np.array([0, -1]),
        "first": np.array([0]),
        "along": np.array([1]),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    _check(dim, path)


def _check(dim: int, path: Path) -> None:
    draw = np.random.default_rng(0)
    vectors = _unit(draw, PARITY_ITEMS, dim)
    vectors[:RESERVED] = 0.0
    search = DeviceSearch(path, vectors, "cpu")
    for users, count, share in ((1, 10, 1.0), (1, 500, 0.5), (3, 20, 0.05), (2, 5, 0.0)):
        queries, may = _unit(draw, users, dim), draw.random((users, PARITY_ITEMS)) < share
        found = search(queries, count, np.stack([pack(one) for one in may]))
        for query, allowed, rows in zip(queries, may, found, strict=True):
            order = np.argsort(-(vectors @ query), kind="stable")
            expected = order[allowed[order]][:count]
            if not np.array_equal(rows[rows >= 0], expected):
                raise BundleError(
                    f"{path.name} finds other items than a sort of all: {rows[:5]} instead of {expected[:5]}",
                    hint="The export is wrong; the bundle was not written.",
                )


def _unit(draw: np.random.Generator, count: int, dim: int) -> FloatArray:
    vectors = draw.normal(size=(count, dim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

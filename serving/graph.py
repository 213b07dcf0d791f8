"""One ONNX graph, run on one thread. It takes what it asks for by name and ignores the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from features.arrays import FloatArray


class Graph:
    """An ONNX Runtime session; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        self._session = ort.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
        self.inputs: tuple[str, ...] = tuple(one.name for one in self._session.get_inputs())

    def __call__(self, feeds: Mapping[str, Any]) -> FloatArray:
        """The graph's one output for contiguous inputs; float32, shape as the graph says."""
        asked = {name: np.ascontiguousarray(feeds[name]) for name in self.inputs}
        output: FloatArray = self._session.run(None, asked)[0]
        return output


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options

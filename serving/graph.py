"""One ONNX graph, run on one device. It takes what it asks for by name and ignores the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays import FloatArray
from serving.retrieval.device import Device, open_session


class Graph:
    """An ONNX Runtime session; safe to call from several threads."""

    def __init__(self, path: Path, device: Device = "cpu") -> None:
        """Raises ConfigError when the device cannot be had."""
        self._session = open_session(path, device)
        self.inputs: tuple[str, ...] = tuple(one.name for one in self._session.get_inputs())

    def __call__(self, feeds: Mapping[str, Any]) -> FloatArray:
        """The graph's one output for contiguous inputs; float32, shape as the graph says."""
        asked = {name: np.ascontiguousarray(feeds[name]) for name in self.inputs}
        output: FloatArray = self._session.run(None, asked)[0]
        return output
